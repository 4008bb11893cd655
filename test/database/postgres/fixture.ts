import type { Database, DatabaseListener } from '../../../src/database/database.ts'
import { openPostgres } from '../../../src/database/postgres/postgres-database.ts'
import { parseDatabaseUrl } from '../../../src/database/url/database-url.ts'
import type { Variables } from '../../../src/database/url/connection-parameters.ts'
import type { DatabaseUrl, PostgresUrl } from '../../../src/database/url/url-types.ts'
import { hostClock } from '../../../src/time/clock.ts'

/** What the listener was told, in order. */
export interface Told {
  readonly lines: string[]
  readonly listener: DatabaseListener
}

export function listening(): Told {
  const lines: string[] = []
  return {
    lines,
    listener: {
      created: (file) => void lines.push(`created ${file}`),
      warning: (message) => void lines.push(`warning ${message}`),
      note: (message) => void lines.push(`note ${message}`),
      lost: (error) => void lines.push(`lost ${error.kind}`),
      awaiting: (_, reason) => void lines.push(`awaiting ${reason}`),
      regained: () => void lines.push('regained'),
    },
  }
}

export interface Opening {
  readonly timeZone?: string
  /** `undefined`, given: nobody chose one. */
  readonly schema?: string | undefined
  readonly access?: 'write' | 'read'
  readonly connectTimeoutMs?: number
  readonly listener?: DatabaseListener
  readonly signal?: AbortSignal
  /** The environment. */
  readonly variables?: Variables
  readonly random?: () => number
  /** The URL as its file has it now. */
  readonly readUrlAgain?: () => DatabaseUrl | undefined
}

export function opened(url: string, opening: Opening = {}): Promise<Database> {
  return openPostgres({
    url: postgresUrl(url, opening.variables),
    schema: 'schema' in opening ? opening.schema : 'public',
    timeZone: opening.timeZone ?? 'UTC',
    connectTimeoutMs: opening.connectTimeoutMs ?? 10_000,
    access: opening.access ?? 'write',
    readUrlAgain: opening.readUrlAgain ?? (() => undefined),
    random: opening.random ?? Math.random,
    applicationName: 'maintenance-test',
    clock: hostClock(),
    node: process.execPath,
    user: { uid: undefined },
    listener: opening.listener ?? listening().listener,
    signal: opening.signal ?? new AbortController().signal,
  })
}

export function postgresUrl(text: string, variables: Variables = {}): PostgresUrl {
  const url = parseDatabaseUrl(text, variables)
  if (url.engine !== 'postgres') throw new TypeError(`${text} is no PostgreSQL URL`)
  return url
}

/** Walks every slice and deletes it, as the purge does; the ids that are left, in order. */
export async function purged(
  database: Database,
  table: string,
  cutoff: number,
  size: number,
): Promise<{ deleted: number; sizes: number[] }> {
  const rows = database.expired({ table, column: 'at' }, cutoff)
  const sizes: number[] = []
  for (let slice = await rows.next(size, undefined); slice !== undefined; slice = await rows.next(size, slice)) {
    const current = slice
    sizes.push(await current.count())
    await database.transaction((tx) => current.remove(tx, []))
  }
  return { deleted: sizes.reduce((sum, each) => sum + each, 0), sizes }
}
