/** Of a process that writes the address of every module that it loads to standard error. */
export const TELLING_LOADS = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(
    "import { registerHooks } from 'node:module'; import { writeSync } from 'node:fs'; registerHooks({ load(url, context, next) { writeSync(2, `loads ${url}\\n`); return next(url, context) } })",
  )}`,
} as const

/** The addresses, from what it wrote there. */
export function loadedBy(stderr: string): readonly string[] {
  return [...stderr.matchAll(/^loads (.*)$/gm)].map(([, address = '']) => address)
}
