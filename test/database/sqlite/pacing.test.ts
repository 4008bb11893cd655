import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkpointBytes, pacingOf } from '../../../src/database/sqlite/connection/pacing.ts'

test('if blocking is limited, batches and checkpoints are smaller, and nothing else changes', () => {
  const free = pacingOf(true)
  const bound = pacingOf(true, 50)
  assert.deepEqual({ ...bound, alone: free.alone }, free)
  assert.equal(bound.alone.holdMs, 50)
  assert.deepEqual(pacingOf(true, 10_000), free)
  assert.equal(checkpointBytes(50), 10_000_000)
  assert.equal(checkpointBytes(10_000), checkpointBytes())
})
