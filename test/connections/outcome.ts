import { DatabaseError } from '../../src/database/database-error.ts'
import type { Variables } from '../../src/database/url/connection-parameters.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { opened } from '../database/postgres/fixture.ts'

/** What came of one way to connect. */
export interface Outcome {
  /**
   * Of a connection, as one line: who is where, and how the connection is encrypted. `invalid`: the parameters make no sense together. `unreachable`: no server
   * answered. `standby`: one answered that takes no writes. `refused`: the server, its certificate or its way to log in was refused, or we were.
   */
  readonly how: 'invalid' | 'unreachable' | 'standby' | 'refused' | `${string} at ${string}`
  /** For whoever reads a failed test. */
  readonly why: string
}

/** What the server knows of its connection. */
export const STATE = `SELECT session_user || ' at ' || pg_catalog.current_database()
    || ', port ' || coalesce(pg_catalog.inet_server_port()::pg_catalog.text, 'of a socket')
    || ', as ' || pg_catalog.quote_literal(pg_catalog.current_setting('application_name'))
    || ', by ' || coalesce(version, 'plain text') || coalesce(', certificate ' || client_dn, '')
    || ', work_mem ' || pg_catalog.current_setting('work_mem') AS state
  FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()`

/** Without the name that the client gives itself. */
export function outcomeOf(state: string, ownName: string): Outcome['how'] {
  return state.replace(`as '${ownName}'`, 'as itself') as Outcome['how']
}

const LONGEST_MS = 2_000

/** Connects as the program does. */
export async function connect(url: string, variables: Variables, random?: () => number): Promise<Outcome> {
  try {
    await using database = await opened(url, { variables, connectTimeoutMs: LONGEST_MS, ...(random === undefined ? {} : { random }) })
    const { rows } = await database.query<{ state: string }>(STATE)
    return { how: outcomeOf(rows[0]!.state, 'maintenance-test'), why: '' }
  } catch (error) {
    if (!(error instanceof MaintenanceError)) throw error
    return { how: classOf(error), why: error.message }
  }
}

function classOf(error: MaintenanceError): Outcome['how'] {
  if (!(error instanceof DatabaseError)) return 'invalid'
  if (error.kind === 'unreachable') return 'unreachable'
  return error.kind === 'read-only' ? 'standby' : 'refused'
}
