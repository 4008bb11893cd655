import { SECOND } from '../../../time/clock.ts'
import { durationText } from '../../../time/time-text.ts'
import { MINUS, secondsOf } from '../exact.ts'

/** A session of the server. An ordinary role sees little of other roles' sessions; the rest is null. The query is never read: it may hold a secret. */
export interface SessionRow {
  /** 0 for a prepared transaction, which has no process. */
  readonly pid: number
  readonly role: string | null
  readonly application_name: string | null
  readonly client: string | null
  /** The kind of process, such as an autovacuum worker. */
  readonly backend_type: string | null
  readonly state: string | null
  readonly connected_s: number | null
  readonly transaction_s: number | null
}

/** Columns of pg_stat_activity, aliased `a`, in addition to the process id. */
export const SESSION_COLUMNS = `a.usename::pg_catalog.text AS role, a.application_name, pg_catalog.host(a.client_addr) AS client, a.backend_type, a.state,
  ${secondsOf(`(pg_catalog.clock_timestamp() ${MINUS} a.backend_start)`)} AS connected_s,
  ${secondsOf(`(pg_catalog.clock_timestamp() ${MINUS} a.xact_start)`)} AS transaction_s`

/** `server process 812 (billing-api from 10.1.2.3 as billing, idle in transaction, begun 41 min ago)` */
export function describeSession(session: SessionRow): string {
  const { pid, role, application_name: application, client, backend_type: type, state, connected_s, transaction_s } = session
  if (pid === 0) return 'a prepared transaction (see pg_prepared_xacts)'
  const name = type !== null && type !== 'client backend' ? type : application === null || application === '' ? 'unnamed' : application
  const who = [name, ...(client === null ? [] : [`from ${client}`]), ...(role === null ? [] : [`as ${role}`])].join(' ')
  const since = [
    ...(connected_s === null ? [] : [`connected for ${durationText(Math.max(0, connected_s * SECOND))}`]),
    ...(state === null ? [] : [state]),
    ...(transaction_s === null ? [] : [`in a transaction begun ${durationText(Math.max(0, transaction_s * SECOND))} ago`]),
  ]
  return `server process ${pid} (${[who, ...since].join(', ')})`
}
