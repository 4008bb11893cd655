import type { Connection } from './connection.ts'

/** Changes exactly when another connection commits a change; our own changes do not affect it. */
export function dataVersion(connection: Connection): number {
  return connection.figure('PRAGMA data_version')
}

/**
 * While it stays the same, a row that was read has not changed, unless one of our statements has named it: no other connection has committed, and no
 * trigger or foreign key of a table that we write to has changed, added or removed a row.
 */
export function rowsVersion(connection: Connection): string {
  return `${dataVersion(connection)}/${connection.indirectChanges()}`
}
