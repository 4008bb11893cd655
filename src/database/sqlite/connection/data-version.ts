import type { Connection } from './connection.ts'

/** Differs from an earlier one exactly when another connection has committed a change since; changes of our own do not show. */
export function dataVersion(connection: Connection): number {
  return connection.figure('PRAGMA data_version')
}

/**
 * While it is the same, a row that was read is still what it was, unless a statement of ours has named it: nobody else has committed, and no trigger and
 * no reference of any table that we write to has changed, added or removed a row.
 */
export function rowsVersion(connection: Connection): string {
  return `${dataVersion(connection)}/${connection.indirectChanges()}`
}
