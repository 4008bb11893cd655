import { POSTGRES_MAJORS, startPostgres, type PostgresServer } from '../support/postgres-server.ts'
import type { Fault } from './fault.ts'
import { brokenLink } from './kinds/broken-link.ts'
import { brokenMigration } from './kinds/broken-migration.ts'
import { failedOver } from './kinds/failed-over.ts'
import { fullDisk } from './kinds/full-disk.ts'
import { killedMigrating } from './kinds/killed-migrating.ts'
import { killedPurging } from './kinds/killed-purging.ts'
import { leftWal } from './kinds/left-wal.ts'
import { longReader } from './kinds/long-reader.ts'
import { manyWorkers } from './kinds/many-workers.ts'
import { movedClock } from './kinds/moved-clock.ts'
import { pooler } from './kinds/pooler.ts'
import { readOnlyFile } from './kinds/read-only-file.ts'
import { staleReplica } from './kinds/stale-replica.ts'
import { stoppedServer } from './kinds/stopped-server.ts'
import { suspended } from './kinds/suspended.ts'
import { switchedOver } from './kinds/switched-over.ts'
import { terminatedBackend } from './kinds/terminated-backend.ts'
import { writeLock } from './kinds/write-lock.ts'
import { optionsFrom, usage, UsageError, type Options } from './options.ts'
import { testedProgram } from './program.ts'
import { planOf, runAll, type Planned } from './runner.ts'
import { Tally } from './tally.ts'

/** Those that wait longest come first. */
const FAULTS: readonly Fault[] = [
  failedOver,
  brokenLink,
  switchedOver,
  staleReplica,
  suspended,
  manyWorkers,
  killedPurging,
  stoppedServer,
  terminatedBackend,
  brokenMigration,
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
  const plan = planOf(FAULTS, options)
  if (plan.length === 0) throw new UsageError(`there is no round ${options.round} of these faults`)
  process.stdout.write(`fault suite, ${options.full ? 'full' : 'a tenth'}, seed ${options.seed}\n`)
  const servers = await startServers()
  try {
    return await runFaults(plan, options)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function runFaults(plan: readonly Planned[], options: Options): Promise<number> {
  const startedMs = performance.now()
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1_000)
  const tally = new Tally()
  await using program = await testedProgram()
  const sound = await runAll(
    plan,
    { options, program, tally, interrupted: interrupted() },
    {
      progress: (text) => void process.stderr.write(`${String(seconds()).padStart(5)} s  ${text}\n`),
      explain: (text) => void process.stderr.write(`${text}\n`),
    },
  )
  for (const line of [...tally.gateways(), ...tally.skipped]) process.stdout.write(`${line}\n`)
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

function interrupted(): AbortSignal {
  const told = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => told.abort())
  return told.signal
}

try {
  const code = await main(process.argv.slice(2))
  // What is left of a round that did not end keeps this process from ending too.
  process.exit(code)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n${usage(NAMES)}`)
  process.exitCode = 2
}
