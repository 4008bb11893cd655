// Joins src/ into the few files of JavaScript that the package and the image run: loading a hundred small ones takes longer than the work itself.
// Into dist/, or the folder that is named.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync } from 'node:fs'
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
  sqlite: /\/src\/database\/sqlite\//,
  postgres: /\/src\/database\/postgres\//,
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

const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))
const carried = new Set(modules.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []))
for (const path of carried)
  copyFileSync(join(path, 'LICENSE'), join(folder, `LICENSE-${path.split('node_modules/')[1]!.replace('/', '-')}`))
