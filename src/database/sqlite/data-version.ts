import type { Connection } from './connection.ts'

/** Differs from an earlier one exactly when another connection has committed a change since; changes of our own do not show. */
export function dataVersion(connection: Connection): number {
  return connection.figure('PRAGMA data_version')
}
