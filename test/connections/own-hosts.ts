import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Ended {
  readonly code: number
  readonly output: string
}

/** Runs a program with its own /etc/hosts, where the machine lets a process have its own view of files. */
export function withHosts(hosts: string, program: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  const words = [
    '--user',
    '--map-root-user',
    '--mount',
    'sh',
    '-c',
    'mount --bind "$1" /etc/hosts && shift && exec "$@"',
    'sh',
    hosts,
    ...program,
  ]
  return new Promise((resolve) => {
    execFile('unshare', words, { env: { PATH: process.env['PATH'] ?? '', ...env }, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr }),
    )
  })
}

/** The real command, in the same way. */
export function commandWithHosts(hosts: string, words: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  return withHosts(
    hosts,
    [process.execPath, fileURLToPath(new URL('../../bin/mcp-gateway-maintenance.js', import.meta.url)), ...words],
    env,
  )
}

/** For a test's `skip` option. */
export async function withoutOwnHosts(): Promise<string | false> {
  return (await withHosts('/etc/hosts', ['true'], {})).code !== 0 && 'no process may have its own /etc/hosts here'
}
