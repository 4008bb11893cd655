import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { sharedMs } from '../processes/child.ts'
import { ratios } from '../statistics.ts'
import type { Workspace } from '../workspace.ts'
import { compiled } from './compiled.ts'
import { alternated, type Scenario } from './scenario.ts'

const LEAST_REPEATS = 11

/** The program as it is shipped, compiled, against a script that imports the same packages and does nothing. */
export const processes: Scenario = {
  name: 'process',
  engines: ['sqlite'],
  async measure(bench) {
    const { options, workspace } = bench
    const repeats = Math.max(options.repeats, LEAST_REPEATS)
    bench.progress('process: compiling')
    const { program, packages } = await compiled(workspace.folder)
    const env = { PATH: process.env['PATH'], DATABASE_URL: `sqlite:///${join(workspace.folder, 'process.db')}`, LOG_FORMAT: 'json' }
    const commands = { program: [program, '--run-now'], packages: [packages] } as const
    const started = (words: readonly string[]): ChildProcess => startNode(workspace, words, env)

    for (const words of Object.values(commands)) await succeeded(started(words)) // makes the database and warms the caches
    bench.progress('process: start')
    const walls = await alternated(['program', 'packages'], repeats, async (name) => {
      const startedMs = sharedMs()
      await succeeded(started(commands[name]))
      return sharedMs() - startedMs
    })

    const settleMs = options.quick ? 2_000 : 5_000
    const resident = { program: [] as number[], packages: [] as number[] }
    for (let repeat = 1; repeat <= options.repeats; repeat += 1) {
      bench.progress(`process: idle ${repeat}/${options.repeats}`)
      const worker = started([program])
      const script = started([packages, 'stay'])
      await setTimeout(settleMs)
      resident.program.push(await residentBytes(worker))
      resident.packages.push(await residentBytes(script))
      await Promise.all([worker, script].map(ended))
    }

    const { add } = bench.sheet('The process, against a script that imports the same packages', true)
    add('process.start', '--run-now with nothing to do, wall time / the script', '×', ratios(walls.program, walls.packages))
    add('process.start-ms', '--run-now with nothing to do, wall time', 'ms', walls.program)
    add('process.idle', 'idle worker, resident memory / the script', '×', ratios(resident.program, resident.packages))
    add(
      'process.idle-MB',
      'idle worker, resident memory',
      'MB',
      resident.program.map((bytes) => bytes / 1e6),
    )
  },
}

function startNode(workspace: Workspace, words: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(process.execPath, words, { cwd: workspace.folder, env, stdio: ['ignore', 'ignore', 'inherit'] })
  workspace.children.add(child)
  child.once('exit', () => workspace.children.delete(child))
  return child
}

async function succeeded(child: ChildProcess): Promise<void> {
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${child.spawnargs.join(' ')} exited with ${code}`)
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}

async function residentBytes(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended although it should have stayed`)
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024
}
