import type { Query, Transaction } from '../database/query.ts'
import { readBack, rowOf } from '../database/read-back.ts'
import { NO_GROWTH, type Growth } from './step.ts'

/** What runs added to archives or removed from them: a table with one row a run, summed over the archived tables. */
export class RunCounts {
  readonly #table: string

  constructor(table: string) {
    this.#table = table
  }

  async add(tx: Transaction, run: number, { rows, bytes, files }: Growth): Promise<void> {
    const before = await this.of(tx, run)
    await tx.query(
      `INSERT INTO ${this.#table} (run, "rows", bytes, files) VALUES (CAST($1 AS bigint), CAST($2 AS bigint), CAST($3 AS bigint), CAST($4 AS bigint))
       ON CONFLICT (run) DO UPDATE SET "rows" = excluded."rows", bytes = excluded.bytes, files = excluded.files`,
      [run, before.rows + rows, before.bytes + bytes, before.files + files],
    )
    await readBack(tx, this.#table, { run }, { rows: before.rows + rows, bytes: before.bytes + bytes, files: before.files + files })
  }

  async of(query: Query, run: number): Promise<Growth> {
    return (await rowOf<Growth & Record<string, number>>(query, this.#table, { run }, ['rows', 'bytes', 'files'])) ?? NO_GROWTH
  }

  /** Deletes the counts of runs that are no longer recorded. */
  async forget(tx: Transaction, runs: string): Promise<void> {
    await tx.query(`DELETE FROM ${this.#table} WHERE run < (SELECT min(id) FROM ${runs})`)
  }
}
