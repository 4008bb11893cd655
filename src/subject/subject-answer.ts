import type { Search } from '../archive/read/search.ts'
import type { EpochMs } from '../time/clock.ts'
import type { SubjectTable } from './subject-tables.ts'

/** What the tables and the archive hold of a person. */
export interface SubjectAnswer {
  readonly user: string
  /** When it was asked, on the database's clock. */
  readonly at: EpochMs
  readonly tables: readonly SubjectTable[]
  /** `undefined`: nothing was ever archived from this database. */
  readonly archive: SubjectArchive | undefined
  /** Tables that were not searched, because nothing is known of them. */
  readonly otherTables: readonly string[]
  /** What was to be searched and could not be; each a sentence. */
  readonly problems: readonly string[]
}

export interface SubjectArchive extends Search {
  readonly directory: string
  /** Whether runs remove files whose time has come: the archive is switched on, and so is the job that writes it. */
  readonly expires: boolean
}

/** Where the name of a person can stand all the same; each a clause. */
export const NOT_REACHED: readonly string[] = [
  'texts inside a row, such as parameters, outputs, errors and user_data: only the columns that are named above are compared',
  'the same person under another spelling, in other letters, or by an address or the hash of a key',
  'the worker’s own tables: a hold or a receipt can name a person in its condition (hold list, receipts export)',
  'backups and dumps, replicas, the write-ahead log, and what the file system has not overwritten yet',
  'the logs of the gateway, the worker, the database server and whatever stands before them',
  'files of the archive that were copied elsewhere, and those that archive reconcile has set aside in reconciled/',
]
