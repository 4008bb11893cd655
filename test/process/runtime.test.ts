import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const RUN = join(ROOT, 'tools/node24/run')
const PROGRAM = join(ROOT, 'bin/mcp-gateway-maintenance.js')

/** Where the checkout brings no Node: a copy far from node_modules. */
function runWithout(version: string): { readonly status: number | null; readonly stderr: string; readonly stdout: string } {
  const folder = mkdtempSync(join(tmpdir(), 'node-'))
  try {
    copyFileSync(RUN, join(folder, 'run'))
    writeFileSync(join(folder, 'node'), `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else echo "ran $*"; fi\n`)
    chmodSync(join(folder, 'node'), 0o755)
    return spawnSync('/bin/sh', [join(folder, 'run'), 'program.js', '--run-now'], {
      encoding: 'utf8',
      env: { PATH: `${folder}:/usr/bin:/bin` },
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

for (const version of ['v18.20.0', 'v20.20.2', 'v22.20.0', 'v23.11.0'])
  test(`a checkout without a Node of its own refuses the machine's ${version} in one line`, () => {
    const { status, stderr, stdout } = runWithout(version)
    assert.equal(status, 2)
    assert.equal(
      stderr,
      `mcp-gateway-maintenance: a checkout needs Node 24 or newer, and the machine's is ${version}; "npm ci" brings one; nothing was done\n`,
    )
    assert.equal(stdout, '')
  })

for (const version of ['v24.0.0', 'v26.1.0'])
  test(`a checkout without a Node of its own takes the machine's ${version}`, () => {
    assert.equal(runWithout(version).stdout, 'ran program.js --run-now\n')
  })

for (const version of ['18.20.0', '22.20.0', '23.11.0'])
  test(`the program of a checkout refuses Node ${version} in one line, with exit code 2`, () => {
    const versions = `data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
    const { status, stderr, stdout } = spawnSync(process.execPath, ['--import', versions, PROGRAM, '--version'], { encoding: 'utf8' })
    assert.equal(status, 2)
    assert.equal(
      stderr,
      `mcp-gateway-maintenance: a checkout needs Node 24 or newer, this is ${version}; "npm ci" brings one, and "npm start -- ARGUMENTS" uses it; nothing was done\n`,
    )
    assert.equal(stdout, '')
  })
