import type { Connection } from './connection.ts'

export interface WalBacklog {
  /** Pages that were written to the log since it was begun. */
  readonly pages: number
  /** Of those, what is not yet in the main file. */
  readonly waiting: number
}

/** `undefined`: this database has no write-ahead log. `NOOP` only looks, `PASSIVE` moves what nobody's reading holds back, and waits for nobody. */
export function checkpoint(connection: Connection, mode: 'NOOP' | 'PASSIVE'): WalBacklog | undefined {
  const [row] = connection.run<{ log: number; checkpointed: number }>(`PRAGMA wal_checkpoint(${mode})`).rows
  if (row === undefined || row.log < 0) return undefined
  return { pages: row.log, waiting: row.log - row.checkpointed }
}
