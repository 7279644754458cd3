/**
 * The tables of the store, as the steps that lead to them: an older database is brought up to date
 * by the steps that it has not seen. A step that was ever released is never changed.
 *
 * A *thread* is a log of tokens, cut into turns. A conversation is a thread with a public name; a
 * chain of responses is one without. Numbers of threads and turns are never given twice, so that
 * what was erased cannot be taken for what came after it.
 *
 * @module
 */

/** SQL by schema version: entry n leads from version n to n + 1. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE threads (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    conversation TEXT,           -- its public name; NULL: a chain of responses
    created_at INTEGER NOT NULL, -- seconds
    metadata TEXT,
    setup TEXT,                  -- NULL: no turn yet
    UNIQUE (owner, conversation)
  ) STRICT;

  CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    thread INTEGER NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,     -- from 1
    ends INTEGER NOT NULL,       -- tokens of the log up to this turn's end
    boundaries TEXT NOT NULL,
    tokens BLOB NOT NULL,        -- this turn's, 4 bytes each, little endian
    UNIQUE (thread, number)
  ) STRICT;

  CREATE TABLE items (
    thread INTEGER NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    id TEXT NOT NULL,
    turn INTEGER REFERENCES turns (id) ON DELETE SET NULL, -- NULL: not in the log yet
    body TEXT NOT NULL,
    PRIMARY KEY (thread, position),
    UNIQUE (thread, id)
  ) STRICT;
  CREATE INDEX items_by_turn ON items (turn);

  CREATE TABLE responses (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    thread INTEGER REFERENCES threads (id) ON DELETE CASCADE,
    turn INTEGER REFERENCES turns (id) ON DELETE SET NULL, -- NULL: nothing can continue from it
    ended_at INTEGER,            -- milliseconds; NULL: under way
    body TEXT NOT NULL,
    input TEXT NOT NULL,
    events_from INTEGER,         -- the first line's sequence number; NULL: no events
    events TEXT,                 -- a line each
    PRIMARY KEY (owner, id)
  ) STRICT;
  CREATE INDEX responses_by_thread ON responses (thread, turn);
  CREATE INDEX responses_by_turn ON responses (turn);
  CREATE INDEX responses_by_end ON responses (ended_at)
    WHERE ended_at IS NULL OR events IS NOT NULL;

  CREATE TABLE requests (        -- that must not be done twice
    owner TEXT NOT NULL,
    key TEXT NOT NULL,           -- a digest of the client's key
    fingerprint TEXT NOT NULL,
    response TEXT NOT NULL,
    at INTEGER NOT NULL,         -- milliseconds
    PRIMARY KEY (owner, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX requests_by_response ON requests (owner, response);
  CREATE INDEX requests_by_age ON requests (at);

  CREATE TABLE snapshots (       -- their bytes lie in files named by the turn
    turn INTEGER PRIMARY KEY REFERENCES turns (id) ON DELETE CASCADE,
    thread INTEGER NOT NULL,
    key TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    used INTEGER NOT NULL        -- the larger, the later
  ) STRICT;
  CREATE INDEX snapshots_by_thread ON snapshots (thread, turn);
`,
  `
  -- What the next turn takes into the log, however long the conversation is.
  CREATE INDEX items_pending ON items (thread, position) WHERE turn IS NULL;
`,
];
