#!/usr/bin/env node
// Looks at Node's version before anything else is loaded: better-sqlite3 crashes an older Node as it loads. Plain JavaScript that any Node reads.
import { existsSync } from 'node:fs'

// A checkout runs its TypeScript as it is, whose `using` is a syntax error before Node 24; the package and the image hold compiled JavaScript only.
const [source, compiled] = ['../src/main.ts', '../dist/main.js'].map((path) => new URL(path, import.meta.url))
const isCheckout = existsSync(source)
const program = isCheckout ? source : existsSync(compiled) ? compiled : undefined

const least = isCheckout ? [24, 0] : [22, 18]
const [major, minor] = process.versions.node.split('.').map(Number)

if (major < least[0] || (major === least[0] && minor < least[1]))
  refuse(
    isCheckout
      ? `a checkout needs Node ${least[0]} or newer, this is ${process.versions.node}; "npm ci" brings one, and "npm start -- ARGUMENTS" uses it`
      : `Node ${least.join('.')} or newer is needed, this is ${process.versions.node}`,
  )
else if (program === undefined)
  refuse('dist/ is missing: this package was packed before it was built; "npm run build && npm pack" makes it whole')
else await import(program)

function refuse(reason) {
  process.stderr.write(`mcp-gateway-maintenance: ${reason}; nothing was done\n`)
  process.exitCode = 2
}
