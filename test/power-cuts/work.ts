import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import BetterSqlite3 from 'better-sqlite3'
import type { Database } from '../../src/database/database.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { writeTextfile } from '../../src/observe/textfile.ts'
import { DAY, hostClock, HOUR, SECOND, type Clock } from '../../src/time/clock.ts'
import { reconciled } from '../archive/restorable.ts'
import { restored } from '../archive/support.ts'
import { AUDIT_LOGS, opened, QUIET, run } from '../runs/support.ts'

const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** The clock of every recording: no row changes its day or expires while it is judged. */
export const NOON = Date.parse('2026-11-15T12:00:00Z')
/** Three parts of one or two files each, and many batches, of few rows: what is judged is the order of what happens. */
export const PART_ROWS = 50
const BATCH_ROWS = 20

export type JournalMode = 'WAL' | 'DELETE'

/** The folder of a recording, and of every state that is judged. */
export class Site {
  readonly folder: string
  readonly file: string
  readonly archive: string
  readonly textfile: string

  constructor(folder: string) {
    this.folder = folder
    this.file = join(folder, 'data/gateway.db')
    this.archive = join(folder, 'archive')
    this.textfile = join(folder, 'data/maintenance.prom')
  }

  /** A database with these migrations. */
  async make(mode: JournalMode, upTo = Infinity): Promise<void> {
    await mkdir(join(this.folder, 'data'), { recursive: true, mode: 0o700 })
    this.sql((database) => database.pragma(`journal_mode = ${mode}`))
    await migrateAt(this, upTo)
  }

  sql<T>(work: (database: BetterSqlite3.Database) => T): T {
    const database = new BetterSqlite3(this.file)
    try {
      return work(database)
    } finally {
      database.close()
    }
  }

  /** Rows over some days, the latest of which ends so many days ago. Returns their ids. */
  fill(rows: number, days: number, overDays = 2): readonly number[] {
    return this.sql((database) => {
      const insert = database.prepare(
        `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp)
         VALUES ('t', 'u', 'invoke', 'success', ?, strftime('%Y-%m-%d %H:%M:%f', ?, 'unixepoch') || '000')`,
      )
      const times = Array.from({ length: rows }, (_, row) => NOON - (days + overDays * (1 - row / rows)) * DAY)
      return times.map((time) => Number(insert.run('x'.repeat(150), time / SECOND).lastInsertRowid))
    })
  }
}

/** What is recorded, and done again after the cut. */
export type Work =
  | { readonly kind: 'purge'; readonly archived: boolean; readonly keptDays?: number; readonly gateway?: boolean }
  | { readonly kind: 'migrate' | 'restore' | 'reconcile' | 'textfile' }

export interface Circumstances {
  /** The hour after noon at which it begins. The lease of a run that was cut has expired by the next. */
  readonly hour: number
  /** Kills itself once it has deleted so many rows. */
  readonly diesAfterRows?: number
  /** Kills itself when the files of a part are noted in the database, and still in the spool. */
  readonly diesBeforePublishing?: boolean
  /** Names the database by a symbolic link. */
  readonly link?: string
}

/** Rejects if it did not do what it should, in the words that a person would read. */
export async function perform(work: Work, site: Site, circumstances: Circumstances): Promise<void> {
  switch (work.kind) {
    case 'purge':
      return await withDatabase(site, circumstances, (database, clock) => purge(database, clock, work, site, circumstances))
    case 'migrate':
      return await migrateAt(site, Infinity)
    case 'restore':
      return await withDatabase(site, circumstances, async (database) => void (await restored(database, site.archive)))
    case 'reconcile':
      return await withDatabase(site, circumstances, async (database) => void (await reconciled(database, site.archive)))
    case 'textfile':
      return await writeTextfile(site.textfile, TEXTFILE, 'host:1')
    default:
      return work satisfies never
  }
}

/** One counter, which goes on from what is there. */
export const TEXTFILE = `# TYPE a_total counter\na_total 1\n${'# HELP b Text.\n'.repeat(100)}`

async function withDatabase(
  site: Site,
  { hour, link }: Circumstances,
  work: (database: Database, clock: Clock) => Promise<void>,
): Promise<void> {
  const clock = clockFrom(NOON + hour * HOUR)
  await using database = await opened(`sqlite:///${link === undefined ? site.file : join(site.folder, link)}`, clock)
  await work(database, clock)
}

/** It goes on like the host's, and nobody waits. */
function clockFrom(start: number): Clock {
  const host = hostClock()
  const began = host.monotonicMs()
  return {
    ...host,
    now: () => Math.round(start + host.monotonicMs() - began),
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
  }
}

async function purge(
  database: Database,
  clock: Clock,
  { archived, keptDays, gateway }: Work & { readonly kind: 'purge' },
  site: Site,
  { diesAfterRows = Infinity, diesBeforePublishing = false }: Circumstances,
): Promise<void> {
  const { outcome, error, reason } = await run(
    changed(database, {
      pacing: { ...database.pacing, firstRows: BATCH_ROWS, mostRows: BATCH_ROWS },
      durable: async () => {
        await database.durable()
        if (diesBeforePublishing && hasManifest(join(site.archive, 'audit_logs/.writing'))) process.kill(process.pid, 'SIGKILL')
      },
    }),
    { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table', 'shorter-archive-retention'] as const) },
    {
      clock,
      listener: {
        ...QUIET,
        jobBatch: (_, { total }) => {
          if (total >= diesAfterRows) process.kill(process.pid, 'SIGKILL')
          if (gateway === true) writeAsGateway(site)
        },
      },
      archive: archived
        ? {
            directory: site.archive,
            uid: process.getuid?.(),
            keptMs: keptDays === undefined ? undefined : keptDays * DAY,
            partRows: PART_ROWS,
            lateKeptMs: 0,
          }
        : undefined,
    },
  )
  if (outcome !== 'succeeded') throw new Error(`the run ended as ${outcome}: ${error instanceof Error ? error.message : (reason ?? '')}`)
}

/** The same database with other answers. */
export function changed(database: Database, changes: Partial<Database>): Database {
  return new Proxy(database, { get: (target, name) => Reflect.get(name in changes ? changes : target, name) as unknown })
}

function hasManifest(spool: string): boolean {
  return existsSync(spool) && readdirSync(spool).some((name) => name.endsWith('.json'))
}

/** A row of today, and a checkpoint if the log has grown a little, on a connection of its own. */
function writeAsGateway(site: Site): void {
  site.sql((database) => {
    database.pragma('wal_autocheckpoint = 20')
    database
      .prepare(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'gateway', 'invoke', 'success', '2026-11-15 12:00:00')`,
      )
      .run()
  })
}

async function migrateAt(site: Site, upTo: number): Promise<void> {
  await using database = await opened(`sqlite:///${site.file}`)
  const files = await readMigrationFiles(PACKAGE_ROOT)
  await migrate({
    database,
    files: files.filter(({ version }) => version <= upTo),
    appVersion: '1.2.3',
    lockTimeoutMs: 20 * SECOND,
    signal: new AbortController().signal,
    clock: hostClock(),
    listener: {
      applied: () => {},
      current: () => {},
      waiting: () => {},
      blocked: () => {},
      healed: () => {},
      slowIndex: () => {},
      granting: () => {},
    },
  })
}

/** The only counter of the textfile; `undefined`: it is not there. */
export function countIn(site: Site): number | undefined {
  try {
    const text = readFileSync(site.textfile, 'utf8')
    if (text.length !== TEXTFILE.length) throw new Error(`the textfile has ${text.length} bytes of ${TEXTFILE.length}`)
    return Number(/^a_total (\d)$/m.exec(text)?.[1])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
