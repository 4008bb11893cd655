import { runNow } from '../../src/commands/run-now.ts'
import { loadSettings } from '../../src/config/load.ts'
import { withProgram, type Host } from '../../src/program.ts'
import { NOTHING_ACCEPTED } from '../../src/purge/safety.ts'
import { hostClock } from '../../src/time/clock.ts'
import type { Arena } from './arena.ts'

/** `--run-now` as the command does it, in this process, with a clock that is so much ahead. Answers with the exit code. */
export async function runWithClock(arena: Arena, packageRoot: string, shiftMs: number): Promise<number> {
  const clock = hostClock()
  const host: Host = {
    arguments: [],
    env: { DATABASE_URL: arena.database.url, LOG_LEVEL: 'silent' },
    workingDirectory: packageRoot,
    node: process.execPath,
    packageRoot,
    version: '1.2.3',
    uid: process.getuid?.(),
    terminal: { output: false, error: false, columns: () => undefined },
    clock: { ...clock, now: () => clock.now() + shiftMs },
    worker: 'moved-clock:1',
    operator: 'tester@host-a',
    random: () => 0,
    print: () => {},
    printError: () => {},
    write: () => {},
  }
  const never = new AbortController().signal
  const shutdown = { stopping: never, abandon: never, exitCode: undefined, [Symbol.dispose]: () => {} }
  const settings = await loadSettings({ ...host, configFile: undefined })
  return withProgram({ host, settings, shutdown }, { access: 'write', patience: 'run', log: 'output', metrics: 'none' }, (program) =>
    runNow(program, undefined, { jobs: [], dryRun: false, accepted: NOTHING_ACCEPTED }),
  )
}
