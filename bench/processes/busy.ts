import { setImmediate } from 'node:timers/promises'
import { serveParent } from './child.ts'

let busy = false

/** Keeps one core busy until it is disposed of. */
serveParent(async () => {
  if (!busy) void spin()
  busy = true
  return undefined
})

async function spin(): Promise<never> {
  for (;;) {
    for (const end = performance.now() + 100; performance.now() < end;);
    // Lets it notice that its parent has ended.
    await setImmediate()
  }
}
