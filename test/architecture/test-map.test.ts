import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const TESTS = fileURLToPath(new URL('../', import.meta.url))

test('test/README.md names every file of tests, and none that is not there', () => {
  const named = [...readFileSync(`${TESTS}README.md`, 'utf8').matchAll(/`([\w./-]+\.test\.ts)`/g)].map((match) => match[1]!)
  assert.deepEqual([...new Set(named)].toSorted(), globSync('**/*.test.ts', { cwd: TESTS }).toSorted())
})
