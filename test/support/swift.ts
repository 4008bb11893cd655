import { execFileSync, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readiness } from './readiness.ts'
import type { Place } from './s3/client.ts'

/** Debian's, for which its packages are; another one in PATH does not see them. */
const PYTHON = '/usr/bin/python3'
const SERVERS = fileURLToPath(new URL('swift-servers.py', import.meta.url))
/** In what it writes on standard error. */
const UP = 's3 on port '

export interface Swift extends AsyncDisposable, Place {}

/** For a test's `skip` option. */
export function withoutSwift(): string | false {
  try {
    execFileSync(PYTHON, ['-c', 'import swift.proxy.server, swift.obj.server, swift.container.server, swift.account.server'], {
      stdio: 'ignore',
    })
    return false
  } catch {
    return 'Swift is not installed here: apt-get install python3-swift'
  }
}

/**
 * OpenStack Swift with its S3, as any user, with its data in a folder of its own below the temporary folder, which needs extended attributes. It has no
 * bucket yet. It lives as long as a pipe that this process holds.
 */
export async function startSwift(): Promise<Swift> {
  const folder = await mkdtemp(join(tmpdir(), 'maintenance-swift-'))
  const child = spawn(PYTHON, ['-I', '-B', SERVERS, folder], {
    cwd: '/',
    detached: true,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const [said, problem] = await Promise.all([
    new Promise<string>((resolve) => {
      let text = ''
      child.stderr.on('data', (more) => (text += String(more)).includes(UP) && resolve(text)).once('close', () => resolve(text))
    }),
    readiness(child, UP),
  ])
  if (problem !== undefined) {
    await rm(folder, { recursive: true, force: true })
    throw new Error(`Swift for the tests did not start:\n${problem}`)
  }
  return {
    url: `http://127.0.0.1:${said.slice(said.indexOf(UP) + UP.length).trim()}`,
    region: 'us-east-1',
    account: { accessKeyId: 'test:tester', secretAccessKey: 'testing' },
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}
