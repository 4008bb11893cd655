import { cp, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { CHECKOUT, filesBelow, outOfReach, run } from './checkout.ts'
import { readDockerfile, readDockerignore, type Instruction, type Stage } from './dockerfile.ts'

/** What a build of the Dockerfile leaves behind. */
export interface Image {
  /** The folder that stands for `/`; it contains only what the Dockerfile puts there. */
  readonly root: string
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  /** Of the last stage and the stages that it is based on: USER, ENTRYPOINT, HEALTHCHECK, LABEL. */
  readonly instructions: readonly Instruction[]
}

/** Why it could not be built, if the reason is not in the Dockerfile. */
export class OutOfReach extends Error {
  override readonly name = 'OutOfReach'
}

/**
 * Builds the checkout's Dockerfile without a container engine: each stage is a folder, COPY copies between them or from what .dockerignore
 * leaves of the checkout, RUN runs in the stage's working directory. A RUN must therefore use relative paths, and finds this machine's npm.
 */
export async function buildImage(folder: string): Promise<Image> {
  const ignored = readDockerignore(await readFile(`${CHECKOUT}.dockerignore`, 'utf8'))
  const built = new Map<string, Image>()
  let last: Image | undefined
  for (const [at, stage] of readDockerfile(await readFile(`${CHECKOUT}Dockerfile`, 'utf8')).entries()) {
    last = await buildStage(stage, join(folder, `stage-${at}`), built, ignored)
    if (stage.name !== '') built.set(stage.name, last)
  }
  if (last === undefined) throw new Error('the Dockerfile has no stage')
  return last
}

async function buildStage(
  stage: Stage,
  root: string,
  built: ReadonlyMap<string, Image>,
  ignored: (path: string) => boolean,
): Promise<Image> {
  const base = built.get(stage.from)
  await mkdir(root, { recursive: true })
  if (base !== undefined) await cp(base.root, root, { recursive: true, verbatimSymlinks: true })
  let workdir = base?.workdir ?? '/'
  let env = base?.env ?? {}
  for (const { name, text } of stage.instructions) {
    const cwd = join(root, workdir)
    switch (name) {
      case 'WORKDIR':
        workdir = posix.resolve(workdir, text)
        await mkdir(join(root, workdir), { recursive: true })
        break
      case 'ENV': {
        const [, key = '', value = ''] = /^(\w+)=(\S*)$/.exec(text) ?? []
        if (key === '') throw new Error(`one NAME=value without spaces is understood, not: ENV ${text}`)
        env = { ...env, [key]: value }
        break
      }
      case 'COPY':
        await copy(text, cwd, built, ignored)
        break
      case 'RUN': {
        const done = await run('sh', ['-c', text], { cwd })
        const unreachable = outOfReach(done)
        if (unreachable !== undefined) throw new OutOfReach(unreachable)
        if (done.code !== 0) throw new Error(`RUN ${text}: exit ${done.code}\n${done.stdout}${done.stderr}`)
        break
      }
      case 'USER':
      case 'ENTRYPOINT':
      case 'HEALTHCHECK':
      case 'LABEL':
        break
      default:
        throw new Error(`${name} is not understood`)
    }
  }
  return { root, workdir, env, instructions: [...(base?.instructions ?? []), ...stage.instructions] }
}

async function copy(text: string, cwd: string, built: ReadonlyMap<string, Image>, ignored: (path: string) => boolean): Promise<void> {
  const words = text.split(/\s+/)
  const [, stage] = /^--from=(.+)$/.exec(words[0]!) ?? []
  const [destination, ...sources] = (stage === undefined ? words : words.slice(1)).toReversed()
  const from = stage === undefined ? CHECKOUT : built.get(stage)?.root
  if (from === undefined) throw new Error(`COPY --from=${stage}: no such stage`)
  const into = sources.length > 1 || destination!.endsWith('/')
  for (const source of sources) {
    const origin = join(from, source)
    const out = (path: string): boolean => stage === undefined && ignored(path)
    if ((await stat(origin)).isDirectory()) {
      const files = await filesBelow(origin, (path) => out(`${source}/${path}`))
      if (files.length === 0) throw new Error(`COPY ${source}: .dockerignore leaves nothing of it`)
      for (const file of files) await copyFile(join(origin, file), join(cwd, destination!, file))
    } else {
      if (out(source)) throw new Error(`COPY ${source}: .dockerignore keeps it out`)
      await copyFile(origin, into ? join(cwd, destination!, posix.basename(source)) : join(cwd, destination!))
    }
  }
}

async function copyFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await cp(from, to, { verbatimSymlinks: true })
}
