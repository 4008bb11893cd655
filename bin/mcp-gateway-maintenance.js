#!/usr/bin/env node
// Looks at Node's version before anything else is loaded: better-sqlite3 crashes an older Node as it loads. Plain JavaScript that any Node reads.
import { existsSync } from 'node:fs'

const LEAST = [22, 18]
const [major, minor] = process.versions.node.split('.').map(Number)

if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])) {
  process.stderr.write(
    `mcp-gateway-maintenance: Node ${LEAST.join('.')} or newer is needed, this is ${process.versions.node}; nothing was done\n`,
  )
  process.exitCode = 2
} else {
  // A checkout runs its TypeScript as it is; the package and the image hold compiled JavaScript only.
  const source = new URL('../src/main.ts', import.meta.url)
  await import(existsSync(source) ? source : new URL('../dist/main.js', import.meta.url))
}
