/**
 * SQLite as the store needs it: opened by one process at a time, brought up to date, and whole after
 * any end of that process.
 *
 * @module
 */
import {
  DatabaseSync,
  type SQLInputValue,
  type StatementSync,
} from "node:sqlite";
import { MIGRATIONS } from "./schema.ts";

/** Path of a database that lives in memory and ends with the process. */
export const IN_MEMORY = ":memory:";

/**
 * An open database. All calls are synchronous; rows have their columns as properties, and whoever
 * asks says of which type.
 */
export class Database {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens the database at `path`, making it (readable by this user alone) if there is none.
   *
   * @throws {Error} that says why, if another process has it open, it is damaged, or a later
   * version made it
   */
  constructor(path: string) {
    if (path !== IN_MEMORY) makeFile(path);
    this.#db = new DatabaseSync(path);
    try {
      this.#configure();
      this.#migrate();
    } catch (error) {
      this.#db.close();
      throw new Error(`Cannot open ${path}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  /** The first row; `null` if there is none. */
  get<Row>(sql: string, ...values: SQLInputValue[]): Row | null {
    const row = this.#prepare(sql).get(...values);
    return row ? { ...row } as Row : null;
  }

  /** All rows. */
  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values).map((row) => ({ ...row }) as Row);
  }

  /** Changes rows; gives how many (not those that a foreign key changes along), and the last new one. */
  run(
    sql: string,
    ...values: SQLInputValue[]
  ): { changes: number; lastInsertRowid: number } {
    const { changes, lastInsertRowid } = this.#prepare(sql).run(...values);
    return {
      changes: Number(changes),
      lastInsertRowid: Number(lastInsertRowid),
    };
  }

  /** Does all of `work` or, if it throws, nothing. */
  transaction<T>(work: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      // A full disk, for one, has already rolled back.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  /** Moves the write-ahead log into the database and empties it: what was deleted is in neither then. */
  checkpoint(): void {
    this.#db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
  }

  /** Ends it; nothing committed depends on this. */
  close(): void {
    this.#db.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #configure(): void {
    // Exclusive, before the journal's mode: a second process is refused, and the operating system
    // frees the lock however the first one ends. Full: a commit outlasts a power cut too; it is
    // two syncs a turn. With secure_delete, what is deleted is overwritten.
    this.#db.exec("PRAGMA locking_mode = EXCLUSIVE");
    this.#db.exec("PRAGMA journal_mode = WAL");
    this.#db.exec("PRAGMA synchronous = FULL");
    this.#db.exec("PRAGMA secure_delete = ON");
    this.#db.exec("PRAGMA foreign_keys = ON");
  }

  #migrate(): void {
    const { user_version: version } = this.get<{ user_version: number }>(
      "PRAGMA user_version",
    )!;
    if (version > MIGRATIONS.length) {
      throw new RangeError(
        `a later version of Everstream made it (schema ${version}, this one knows ` +
          `${MIGRATIONS.length}): run that one`,
      );
    }
    this.transaction(() => {
      for (const step of MIGRATIONS.slice(version)) this.#db.exec(step);
      this.#db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    });
  }
}

/**
 * Makes an empty file for this user alone, unless there is one: that must not be opened here, since
 * closing it again would end the locks that this process may have on it already.
 */
function makeFile(path: string): void {
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

function reasonOf(error: unknown): string {
  const { message } = error as Error;
  return message === "database is locked"
    ? "another process has it open: stop that one, or give this one another EVERSTREAM_DATA"
    : message;
}
