import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const COMMAND = fileURLToPath(new URL('../../bin/mcp-gateway-maintenance.js', import.meta.url))

export interface Partitioning {
  /** The longest of the times under lock that the command reports. */
  readonly lockedMs: number
  readonly output: string
}

/** Runs `partition start` or `partition undo` to its end. Rejects with what it printed if it fails. */
export async function partitionCommand(url: string, way: 'start' | 'undo'): Promise<Partitioning> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [COMMAND, 'partition', way], {
    env: { PATH: process.env['PATH'], DATABASE_URL: url },
  })
  const output = stdout + stderr
  const times = [...output.matchAll(/nobody could use the table for ([\d.]+) (ms|s)$/gm)].map(
    ([, number, unit]) => Number(number) * (unit === 's' ? 1_000 : 1),
  )
  if (times.length === 0) throw new Error(`partition ${way} reported no time under lock:\n${output}`)
  return { lockedMs: Math.max(...times), output }
}
