#!/usr/bin/env node
// Looks at Node's version before anything else is loaded: better-sqlite3 crashes an older Node as it loads. Plain JavaScript that any Node reads.
import { existsSync } from 'node:fs'

const LEAST = [22, 18]
const [major, minor] = process.versions.node.split('.').map(Number)

// A checkout runs its TypeScript as it is; the package and the image hold compiled JavaScript only.
const program = ['../src/main.ts', '../dist/main.js'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))

if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1]))
  refuse(`Node ${LEAST.join('.')} or newer is needed, this is ${process.versions.node}`)
else if (program === undefined)
  refuse('dist/ is missing: this package was packed before it was built; "npm run build && npm pack" makes it whole')
else await import(program)

function refuse(reason) {
  process.stderr.write(`mcp-gateway-maintenance: ${reason}; nothing was done\n`)
  process.exitCode = 2
}
