import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, test } from 'node:test'
import { start, type Running } from '../support/command.ts'
import { sqliteDatabase } from '../support/engines.ts'
import { KINDS, type Kind } from '../support/hostile-clients.ts'

/** More than the worker holds, each opened anew when it is ended. */
const CLIENTS = 600
const PROBES = ['/healthz', '/readyz'] as const
/** What the image sets. */
const AS_IN_THE_IMAGE = { NODE_OPTIONS: '--max-semi-space-size=1' }
/** What the worker may take beside its work, in a container of 128 MB of which it uses about half. */
const MOST_GROWTH_MB = 48
/** A machine that does many things at once, and the attackers on it too. */
const LONGEST_PROBE_MS = 10_000
const LONGEST_END_MS = 8_000

async function listening(worker: Running): Promise<number> {
  const url = String((await worker.line((line) => line['event'] === 'http.listening'))['url'])
  await worker.line((line) => line['event'] === 'migrations.current')
  return Number(new URL(url).port)
}

/** Ends the attack when disposed. */
async function attack(port: number, kind: Kind): Promise<AsyncDisposable> {
  const script = fileURLToPath(new URL('../support/hostile-clients.ts', import.meta.url))
  const child = spawn(process.execPath, [script, String(port), kind, String(CLIENTS)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), ended])
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** The first line of the answer; a connection that is ended without one is a probe that failed. */
function probed(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let told = ''
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(LONGEST_PROBE_MS, () => socket.destroy(new Error('no answer')))
    socket.setEncoding('utf8').on('data', (text: string) => (told += text))
    socket.on('error', reject).on('close', () => resolve(told.split('\r\n')[0]!))
    socket.write(`GET ${path} HTTP/1.1\r\nHost: probe\r\n\r\n`)
  })
}

/** The most memory the process has ever had, in megabytes. */
function peakMb(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

describe('600 hostile connections', { timeout: 600_000 }, () => {
  for (const kind of Object.keys(KINDS) as Kind[])
    test(`keep no probe out, take little memory and do not keep the worker from ending: ${kind}`, { timeout: 120_000 }, async () => {
      await using database = await sqliteDatabase()
      const env = { HTTP_ENABLED: 'true', HTTP_PORT: '0', DATABASE_URL: database.url, ...AS_IN_THE_IMAGE }
      const worker = start([], { env, timeoutMs: 110_000 })
      const port = await listening(worker)
      for (const path of ['/', '/metrics', '/status']) assert.equal((await fetch(`http://127.0.0.1:${port}${path}`)).status, 200)
      const before = peakMb(worker.pid)
      await using _ = await attack(port, kind)
      for (const path of [...PROBES, ...PROBES]) assert.equal(await probed(port, path), 'HTTP/1.1 200 OK')
      const grownMb = peakMb(worker.pid) - before
      assert.ok(grownMb < MOST_GROWTH_MB, `${grownMb} MB`)
      const begun = performance.now()
      worker.kill('SIGTERM')
      assert.equal((await worker.ended).code, 0)
      assert.ok(performance.now() - begun < LONGEST_END_MS)
    })
})
