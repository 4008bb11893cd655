import { SECOND } from '../../../time/clock.ts'
import type { ErrorKind } from '../../database-error.ts'
import type { PostgresUrl } from '../../url/url-types.ts'
import type { Driver } from './driver.ts'

/** What a server reports about itself on each connect. */
export interface ServerFacts {
  /** As `version()` has it: `PostgreSQL 18.0 on x86_64-pc-linux-gnu, …`. */
  readonly version: string
  /** `180000` for 18.0. */
  readonly number: number
  /** Whether it replays the changes of a primary. */
  readonly standby: boolean
  /** The session's default, which may be set for the role, the database or the server. */
  readonly readOnly: boolean
  /** Differs between servers, and after a restart. */
  readonly startedAt: number
  /** The process that serves the session; a pooler has told another one in the handshake. */
  readonly pid: number
}

/** The server answers, but cannot be used. */
export class UnsuitableServer extends Error {
  override readonly name = 'UnsuitableServer'
  readonly kind: Extract<ErrorKind, 'read-only' | 'refused'>
  /** Whether to keep waiting, as for a server that does not answer: after a switchover the same address may lead to the primary. */
  readonly passing: boolean
  readonly advice: string

  constructor(message: string, { kind, passing, advice }: Pick<UnsuitableServer, 'kind' | 'passing' | 'advice'>) {
    super(message)
    this.kind = kind
    this.passing = passing
    this.advice = advice
  }
}

export const OLDEST_MAJOR = 13
export const NEWEST_MAJOR = 18

/** Returns notes on a server that will do. Throws an `UnsuitableServer` for any other. */
export function checkServer({ version, number, standby, readOnly }: ServerFacts, target: PostgresUrl['target']): readonly string[] {
  const product = otherProduct(version)
  if (product !== undefined)
    throw new UnsuitableServer(`is ${product}, which speaks PostgreSQL's protocol but is not PostgreSQL`, {
      kind: 'refused',
      passing: false,
      advice: `The purge relies on behaviour that is only known of PostgreSQL ${OLDEST_MAJOR} to ${NEWEST_MAJOR}. Point DATABASE_URL at one of those.`,
    })
  const major = Math.floor(number / 10_000)
  if (!(major >= OLDEST_MAJOR))
    throw new UnsuitableServer(`is version ${versionText(version)}, but the oldest supported version is ${OLDEST_MAJOR}`, {
      kind: 'refused',
      passing: false,
      advice: `Upgrade the server to PostgreSQL ${OLDEST_MAJOR} to ${NEWEST_MAJOR}.`,
    })
  if (target !== 'any' && standby)
    throw new UnsuitableServer('is a standby and takes no writes', {
      kind: 'read-only',
      passing: true,
      advice: 'Point DATABASE_URL at the primary.',
    })
  if (target === 'read-write' && readOnly)
    throw new UnsuitableServer('is read-only for this role (default_transaction_read_only)', {
      kind: 'read-only',
      passing: false,
      advice: 'Connect as a role that may write.',
    })
  return [
    ...(major > NEWEST_MAJOR
      ? [`PostgreSQL ${major} is newer than those this version was tested with (${OLDEST_MAJOR} to ${NEWEST_MAJOR})`]
      : []),
    ...(standby ? ['connected to a standby: the data may be older than on the primary'] : []),
  ]
}

/** Rejects as the driver does. */
export async function serverFacts(driver: Driver): Promise<ServerFacts> {
  const row = (await driver.run<FactsRow>(FACTS, undefined, ANSWER_MS)).at(-1)?.rows[0]
  return {
    version: row?.version ?? '',
    number: Number(row?.number),
    standby: row?.standby === true,
    readOnly: row?.read_only === 'on',
    startedAt: Number(row?.started_at),
    pid: Number(row?.pid),
  }
}

interface FactsRow {
  readonly version: string
  readonly number: string
  readonly standby: boolean
  readonly read_only: string
  readonly started_at: number
  readonly pid: number
}

/** Uses no operator and no cast, so that no object in a schema can change its meaning. */
const FACTS = `SELECT pg_catalog.version() AS version, pg_catalog.current_setting('server_version_num') AS number,
  pg_catalog.pg_is_in_recovery() AS standby, pg_catalog.current_setting('default_transaction_read_only') AS read_only,
  pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) AS started_at, pg_catalog.pg_backend_pid() AS pid`
const ANSWER_MS = 10 * SECOND

/** Recognised by `version()`: some of them report the version number of the PostgreSQL that they imitate. */
function otherProduct(version: string): string | undefined {
  if (!/^(?:PostgreSQL|EnterpriseDB) \d/.test(version)) return version.split(' ', 1)[0] || 'a server without a version'
  return /-YB-|\b(?:Redshift|Greenplum|Materialize)\b/.exec(version)?.[0].replaceAll('-', '').replace(/^YB$/, 'YugabyteDB')
}

/** `12.22` */
function versionText(version: string): string {
  return /\d[\w.]*/.exec(version)?.[0] ?? version
}
