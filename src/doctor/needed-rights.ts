import { ARCHIVED, ARCHIVES, DISCARDED, PLACES, REMOVED, RETENTIONS } from '../archive/tables.ts'
import { JOBS } from '../catalogue.ts'
import type { Rights } from '../database/database.ts'
import { DETACHED, PARTITIONED } from '../database/partitioning.ts'
import { LEDGER } from '../migrations/ledger.ts'
import { RUN_RIGHTS } from '../runs/hold-rights.ts'
import { LEASES, RUNS } from '../runs/run-records.ts'

const ALL = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const

/** What a login that purges needs of the worker's own tables, as deploy/postgres/purge-role.sql grants it. */
export function neededRights(archiving: boolean): Rights {
  return {
    [LEDGER]: ['SELECT'],
    [RUNS]: ALL,
    [LEASES]: ALL,
    ...RUN_RIGHTS,
    [PARTITIONED]: ['SELECT'],
    [DETACHED]: ['SELECT', 'INSERT', 'DELETE'],
    ...(archiving ? ARCHIVING : {}),
  }
}

const ARCHIVING: Rights = {
  [ARCHIVES]: ['SELECT', 'INSERT', 'UPDATE'],
  [ARCHIVED]: ALL,
  [RETENTIONS]: ['SELECT', 'INSERT', 'UPDATE'],
  [REMOVED]: ALL,
  [DISCARDED]: ALL,
  [PLACES]: ['SELECT', 'INSERT', 'UPDATE'],
}

/** What is no more than that: with UPDATE on a purged table, rows that somebody holds are passed over one by one. */
export const MOST_NEEDED: Rights = {
  ...neededRights(true),
  ...Object.fromEntries(JOBS.map(({ table }) => [table, ['SELECT', 'DELETE', 'UPDATE']])),
}
