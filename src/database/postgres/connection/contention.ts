import { EQ } from '../exact.ts'

/**
 * Whether another session waits for a lock of ours: asked within the transaction, since afterwards nobody does. Only sessions that wait for some
 * lock are looked at closely; sessions of other roles are seen only by members of pg_read_all_stats.
 */
export const contentionSql = `SELECT EXISTS (
  SELECT FROM pg_catalog.pg_stat_activity AS other
  WHERE other.wait_event_type ${EQ} 'Lock' AND pg_catalog.pg_backend_pid() ${EQ} ANY (pg_catalog.pg_blocking_pids(other.pid))
) AS waited_for`

export interface Contention {
  readonly waited_for: boolean
}
