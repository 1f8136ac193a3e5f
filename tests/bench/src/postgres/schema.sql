-- Stock as an ordinary application keeps it in a database: what is in each account of a lot stands in the lot's row, and
-- every movement from one account to another is a row of a ledger to which rows are only added.

CREATE TABLE store (
    id uuid PRIMARY KEY,
    title text NOT NULL,
    district text NOT NULL
);

CREATE TYPE account AS ENUM ('source', 'at_hand', 'pledged', 'consumed', 'lost');

CREATE TABLE lot (
    id uuid PRIMARY KEY,
    store uuid NOT NULL REFERENCES store,
    title text NOT NULL,
    unit text NOT NULL,
    batch text NOT NULL,
    source bigint NOT NULL,
    at_hand bigint NOT NULL CHECK (at_hand >= 0),
    pledged bigint NOT NULL DEFAULT 0 CHECK (pledged >= 0),
    consumed bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
    lost bigint NOT NULL DEFAULT 0 CHECK (lost >= 0),
    CHECK (source = at_hand + pledged + consumed + lost)
);

CREATE INDEX ON lot (store);

CREATE TABLE movement (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The same call again is refused, and whoever asks is told what the first one did.
    request_id uuid NOT NULL UNIQUE,
    lot uuid NOT NULL REFERENCES lot,
    debit account NOT NULL,
    credit account NOT NULL,
    qty bigint NOT NULL CHECK (qty >= 0),
    operator text NOT NULL,
    document text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The history of one lot.
CREATE INDEX ON movement (lot, number);

-- A count says what is at hand, and the ledger says by how much that differs: what was at hand before must be known, and must
-- not change meanwhile.
CREATE FUNCTION count_stock(request uuid, which uuid, counted bigint, who text, paper text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    more bigint;
    entered bigint;
BEGIN
    SELECT at_hand INTO STRICT before FROM lot WHERE id = which FOR UPDATE;
    more := counted - before;
    UPDATE lot SET at_hand = counted, source = source + greatest(more, 0), lost = lost + greatest(-more, 0)
    WHERE id = which;
    INSERT INTO movement (request_id, lot, debit, credit, qty, operator, document)
    VALUES (
        request, which,
        CASE WHEN more > 0 THEN 'source' ELSE 'at_hand' END::account,
        CASE WHEN more > 0 THEN 'at_hand' ELSE 'lost' END::account,
        abs(more), who, paper
    ) RETURNING number INTO entered;
    RETURN entered;
END
$$;
