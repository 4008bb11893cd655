// Joins src/ into the few files of JavaScript that the package and the image run: loading a hundred small ones takes longer than the work itself.
// Into dist/, or the folder that is named.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = process.argv[2] ?? join(root, 'dist')

// The bundler takes types away and checks none.
const tsc = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')
execFileSync(process.execPath, [tsc, '--project', root], { stdio: 'inherit' })

/** Needed by every start that reads a file of settings, and many files. */
const CARRIED_INSIDE: ReadonlySet<string> = new Set(['yaml'])

/**
 * What is loaded together is one file: the modules that match, with all that they import and no file before it holds. A module that is imported when it is
 * needed begins a file of its own.
 */
const TOGETHER = {
  cli: /\/src\/(?:cli\/cli|observe\/control-characters|secrets\/foreign-text|time\/clock)\.ts$/,
  run: /\/src\/(?:config\/load|program|commands\/run-now)\.ts$/,
  engines: /\/src\/(?:database\/(?:exporting|url)|time)\//,
  sqlite: /\/src\/database\/sqlite\/(?!examining|searching|compaction)/,
  postgres: /\/src\/database\/postgres\/(?!examining|searching|partitioning)/,
}

rmSync(folder, { recursive: true, force: true })
const { dependencies }: { dependencies: Record<string, string> } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { output } = await build({
  cwd: root,
  input: 'src/main.ts',
  external: [/^node:/, ...Object.keys(dependencies).filter((name) => !CARRIED_INSIDE.has(name))],
  platform: 'node',
  // Takes the plain ES modules of a package that has them beside CommonJS for Node.
  resolve: { conditionNames: ['import', 'default'], mainFields: ['module', 'main'] },
  transform: { target: 'node22.18' },
  output: {
    dir: folder,
    format: 'esm',
    comments: false,
    codeSplitting: {
      groups: Object.entries(TOGETHER).map(([name, test]) => ({ name, test })),
    },
  },
})

for (const file of output) {
  if (file.type !== 'chunk') continue
  // V8 keeps a source with one other character at twice its size, as long as the worker runs. All of ours are in texts and patterns.
  const inAscii = file.code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  writeFileSync(join(folder, file.fileName), inAscii)
}

const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))
const carried = new Set(modules.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []))
for (const path of carried)
  copyFileSync(join(path, 'LICENSE'), join(folder, `LICENSE-${path.split('node_modules/')[1]!.replace('/', '-')}`))
