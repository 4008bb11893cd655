import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const LAUNCHER = fileURLToPath(new URL('../../bin/mcp-gateway-maintenance.js', import.meta.url))

for (const words of [['config'], ['--help'], ['config', '--json']]) {
  test(`${words.join(' ')}: a reader that goes away early is no error`, async () => {
    const child = spawn(process.execPath, [LAUNCHER, ...words], { cwd: tmpdir(), env: { PATH: process.env['PATH'] } })
    child.stdout.destroy()
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const [code] = await once(child, 'close')
    assert.equal(stderr, '')
    assert.equal(code, 0)
  })
}
