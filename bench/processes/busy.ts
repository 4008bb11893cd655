import { setImmediate } from 'node:timers/promises'
import { serveParent } from './child.ts'

/** Keeps one core busy until it is disposed of. */
let busy = false

serveParent(async () => {
  if (!busy) void spin()
  busy = true
  return undefined
})

async function spin(): Promise<never> {
  for (;;) {
    for (const end = performance.now() + 100; performance.now() < end;);
    // So that it notices the end of its parent.
    await setImmediate()
  }
}
