import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileInto } from './compiled.ts'
import { CORE, SUITES } from './suites.ts'
import { POSTGRES_MAJORS, startPostgres, type PostgresServer } from './postgres-server.ts'

/**
 * What `npm test` runs: `node --test` beside one PostgreSQL server of each major version. Arguments are test files, patterns and options of
 * `node --test`; with none that names a file, every test but most of those of the suites that have a name of their own.
 */
async function main(given: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'maintenance-compiled-'))
  const servers = new Map<number, PostgresServer>()
  const starts = await Promise.allSettled(
    POSTGRES_MAJORS.map(async (major) => {
      servers.set(major, await startPostgres(major))
    }),
  )
  try {
    const failed = starts.find((start) => start.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const isSuite = given.some((argument) => argument.includes('*'))
    const isNamed = given.some((argument) => !argument.startsWith('-'))
    // A file by itself is tested as it stands; many start the program so often that compiling it pays.
    if (isSuite || !isNamed) await compile(folder)
    if (isNamed) return await runTests([TEST_TIMEOUT, ...given], servers)
    const code = await runTests([TEST_TIMEOUT, ...given, ...quickTests()], servers)
    for (const [script, files] of leftOut()) process.stdout.write(`left to npm run ${script}: ${files.length} files\n`)
    process.stdout.write(`left to npm run test:faults and test:archive-faults: kills, cuts, full disks and moved clocks\n`)
    return code
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Not if another program is tested already, such as an installed package. */
async function compile(folder: string): Promise<void> {
  if (process.env['TEST_PACKAGE_ROOT'] !== undefined) return
  await compileInto(folder)
  process.env['TEST_PACKAGE_ROOT'] = folder
}

/** Archives in buckets take longer. */
const SLOWNESS = process.env['MCP_TEST_ARCHIVE'] === 'bucket' ? 3 : 1
/** A test that waits for what never comes fails. (`--test-force-exit` is not for us: it loses the reports of tests that have just ended.) */
const TEST_TIMEOUT = `--test-timeout=${SLOWNESS * 120_000}`
/** A failed test that left a socket open keeps its file from ending. */
const LONGEST_RUN_MS = SLOWNESS * Math.max(2, POSTGRES_MAJORS.length) * 10 * 60_000

function quickTests(): string[] {
  const elsewhere = new Set(leftOut().flatMap(([, files]) => files))
  return globSync('test/**/*.test.ts')
    .filter((file) => !elsewhere.has(file))
    .toSorted()
}

function leftOut(): [script: string, files: string[]][] {
  return Object.entries(SUITES).map(([script, patterns]) => [
    script,
    patterns.flatMap((pattern) => globSync(pattern)).filter((file) => !CORE.includes(file)),
  ])
}

function runTests(argv: readonly string[], servers: ReadonlyMap<number, PostgresServer>): Promise<number> {
  const child = spawn(process.execPath, ['--test', `--test-concurrency=${CONCURRENCY}`, ...argv], {
    stdio: 'inherit',
    env: environment(servers),
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  const deadline = setTimeout(() => child.kill('SIGKILL'), LONGEST_RUN_MS)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(deadline)
      resolve(code ?? 1)
    })
  })
}

/** More than the cores: most of a test's time goes by waiting for processes and servers. */
const CONCURRENCY = 4

/** Settings of the program, of libpq, of clients of S3 and of loggers, left over in somebody's shell, must not decide how a test ends. */
const FOREIGN =
  /^(DATABASE_|MIGRATIONS_|MAINTENANCE_|PURGE_|AUDIT_LOGS_|POLICY_DECISIONS_|SESSIONS_|RATE_LIMITS_|ARCHIVE_|SCHEDULE_|LOG_|HEALTH_|HTTP_(?:ENABLED|HOST|PORT|ALLOWED_HOSTS)$|METRICS_|AWS_|PG[A-Z]+$|NODE_TEST_CONTEXT$)/

function environment(servers: ReadonlyMap<number, PostgresServer>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name))
  const urls = [...servers].map(([major, server]) => [`TEST_POSTGRES_${major}`, server.url])
  return Object.fromEntries([...kept, ...urls])
}

process.exitCode = await main(process.argv.slice(2))
