import { POSTGRES_MAJORS, startPostgres, type PostgresServer } from '../support/postgres-server.ts'
import type { Fault } from './fault.ts'
import { brokenLink } from './kinds/broken-link.ts'
import { fullDisk } from './kinds/full-disk.ts'
import { killedMigrating } from './kinds/killed-migrating.ts'
import { killedPurging } from './kinds/killed-purging.ts'
import { leftWal } from './kinds/left-wal.ts'
import { longReader } from './kinds/long-reader.ts'
import { manyWorkers } from './kinds/many-workers.ts'
import { movedClock } from './kinds/moved-clock.ts'
import { pooler } from './kinds/pooler.ts'
import { readOnlyFile } from './kinds/read-only-file.ts'
import { stoppedServer } from './kinds/stopped-server.ts'
import { suspended } from './kinds/suspended.ts'
import { terminatedBackend } from './kinds/terminated-backend.ts'
import { writeLock } from './kinds/write-lock.ts'
import { optionsFrom, usage, UsageError, type Options } from './options.ts'
import { testedProgram } from './program.ts'
import { planOf, runAll } from './runner.ts'
import { Tally } from './tally.ts'

/** Those that wait longest come first. */
const FAULTS: readonly Fault[] = [
  brokenLink,
  suspended,
  manyWorkers,
  killedPurging,
  stoppedServer,
  terminatedBackend,
  pooler,
  writeLock,
  longReader,
  fullDisk,
  readOnlyFile,
  leftWal,
  movedClock,
  killedMigrating,
]

const NAMES = FAULTS.map(({ name }) => name)

async function main(words: readonly string[]): Promise<number> {
  const options = optionsFrom(words, NAMES)
  if (options === undefined) {
    process.stdout.write(usage(NAMES))
    return 0
  }
  process.stdout.write(`fault suite, ${options.full ? 'full' : 'a tenth'}, seed ${options.seed}\n`)
  const servers = await startServers()
  try {
    return await runFaults(options)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function runFaults(options: Options): Promise<number> {
  const startedMs = performance.now()
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1_000)
  const tally = new Tally()
  await using program = await testedProgram()
  const sound = await runAll(planOf(FAULTS, options), options, program, tally, {
    progress: (text) => void process.stderr.write(`${String(seconds()).padStart(5)} s  ${text}\n`),
    explain: (text) => void process.stderr.write(`${text}\n`),
  })
  for (const line of [...tally.notes, ...tally.skipped]) process.stdout.write(`${line}\n`)
  for (const [fault, times] of tally.injected) process.stdout.write(`${String(times).padStart(5)}  ${fault}\n`)
  process.stdout.write(`${tally.summary(options.seed, seconds())}\n`)
  return sound ? 0 : 1
}

/** The suite's processes are many and short: there have to be more connections than in the tests. */
const SETTINGS = { max_connections: '200' }

async function startServers(): Promise<PostgresServer[]> {
  return Promise.all(
    POSTGRES_MAJORS.map(async (major) => {
      const server = await startPostgres(major, { settings: SETTINGS })
      // What `freshPostgres` looks at.
      process.env[`TEST_POSTGRES_${major}`] = server.url
      return server
    }),
  )
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n${usage(NAMES)}`)
  process.exitCode = 2
}
