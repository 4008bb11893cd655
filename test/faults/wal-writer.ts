import BetterSqlite3 from 'better-sqlite3'
import { stamp } from './dialect.ts'
import { insertInto, subjectOf } from './subjects.ts'

/** Rows of a transaction, expired and not; enough that some are written to the log before it commits. */
export const A_TRANSACTION = { go: 400, stay: 100 } as const

/** Writes sessions into a write-ahead log that nobody moves, a transaction after the other, and tells of each one that is committed. Until it is killed. */
function main([file = '']: readonly string[]): void {
  const database = new BetterSqlite3(file)
  database.pragma('journal_mode = wal')
  database.pragma('wal_autocheckpoint = 0')
  // In pages: so small that pages of the open transaction spill into the log.
  database.pragma('cache_size = 10')
  const insert = database.prepare(insertInto(subjectOf('sessions'), '?', '?'))
  for (let transaction = 1; transaction <= MOST_TRANSACTIONS; transaction += 1) {
    database.exec('BEGIN IMMEDIATE')
    for (const [kind, rows, at] of [
      ['go', A_TRANSACTION.go, Date.now() - 60_000],
      ['stay', A_TRANSACTION.stay, Date.now() + 7_200_000],
    ] as const)
      for (let row = 0; row < rows; row += 1) insert.run(`${kind}-w${transaction}-${row}`, stamp(at))
    database.exec('COMMIT')
    process.send?.(transaction)
  }
}

/** Far more than it comes to before it is killed. */
const MOST_TRANSACTIONS = 1_000

if (process.send !== undefined) main(process.argv.slice(2))
