import { fileURLToPath } from 'node:url'
import { JOBS, retentionOf, type Job } from '../../src/catalogue.ts'
import type { Limits } from '../../src/database/examining.ts'
import { diagnose, type Diagnosis } from '../../src/doctor/diagnosis.ts'
import type { DoctorPlan } from '../../src/doctor/doctor-facts.ts'
import { LIMITS } from '../../src/doctor/read-facts.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { readStatus } from '../../src/status/read-status.ts'
import { hostClock, type Clock } from '../../src/time/clock.ts'
import { opened } from '../runs/support.ts'

export const files = await readMigrationFiles(fileURLToPath(new URL('../..', import.meta.url)))

export interface Asked {
  /** Instead of the one that was asked about. */
  readonly url?: string
  readonly plan?: Partial<DoctorPlan>
  readonly limits?: Partial<Limits>
  readonly clock?: Clock
  readonly schema?: string
  readonly jobsEnabled?: (job: Job) => boolean
  /** As whom it runs, where that is not the user of the tests: root may be anybody. */
  readonly uid?: number
}

/** As the command does it: with a connection of its own that may only read. */
export async function diagnosed(url: string, asked: Asked = {}): Promise<Diagnosis> {
  const { uid } = asked
  if (uid === undefined) return await examined(url, asked)
  process.seteuid!(uid)
  return await examined(url, asked, uid).finally(() => process.seteuid!(0))
}

async function examined(
  url: string,
  { url: other, plan: changes, limits, clock = hostClock(), schema = 'public', jobsEnabled = () => true }: Asked,
  uid = process.getuid?.(),
): Promise<Diagnosis> {
  const plan: DoctorPlan = {
    jobs: JOBS.map((job) => ({
      job,
      enabled: jobsEnabled(job),
      schedule: job.schedule,
      retentionMs: retentionOf(job)?.defaultMs,
      graceMs: 0,
    })),
    archive: { enabled: false, directory: '/nowhere', uid, keptMs: undefined },
    migrationsEnabled: true,
    warnings: [],
    thorough: false,
    ...changes,
  }
  await using database = await opened(other ?? url, clock, { access: 'read', schema, user: { uid }, applicationName: 'doctor tests' })
  const context = { version: '1.2.3', files, scheduleTimeZone: 'UTC', partitionsEnabled: true, clock, ...plan }
  const status = await readStatus(database, context)
  return await diagnose(database, status, { plan, clock, limits: { ...LIMITS, ...limits }, signal: new AbortController().signal })
}

/** The servers of tests are set up for speed, and their login is a superuser. SQLite makes files without a write-ahead log, and no gateway has written to this one. */
export const OF_TESTS: ReadonlySet<string> = new Set([
  'advice database-in-doubt',
  'advice rights-beyond',
  'advice server-settings',
  'advice database-journal',
])

/** `fault schema-table`, in the order in which they are shown. */
export function told({ findings }: Diagnosis): readonly string[] {
  return findings.map(({ level, code }) => `${level} ${code}`)
}

export function faultsIn(diagnosis: Diagnosis): readonly string[] {
  return diagnosis.findings.filter(({ level }) => level === 'fault').map(({ code, sentence }) => `${code}: ${sentence}`)
}
