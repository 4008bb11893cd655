import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { run } from './checkout.ts'

/**
 * What `kubectl kustomize` makes of a folder, as far as the folders of deploy/kubernetes need it: resources, components, strategic merge patches, replicas,
 * images, namespace. Anything else in a kustomization is refused. If kubectl is installed, a test compares the results with its own.
 */

/** Why kubectl cannot be used here; `undefined`: it can. Debian's is from 2020, and knows neither components nor today's conditions of `wait`. */
export async function withoutKubectl(): Promise<string | undefined> {
  const { code, stdout } = await run('kubectl', ['version', '--client', '--output', 'json'], { cwd: '/' })
  if (code !== 0) return 'kubectl is not on this machine'
  const { kustomizeVersion = '' } = JSON.parse(stdout) as { kustomizeVersion?: string }
  return /^v[5-9]\./.test(kustomizeVersion) ? undefined : 'kubectl is older than 1.27'
}

export type Node = Readonly<Record<string, unknown>>

export interface Resource extends Node {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> }
}

interface Kustomization {
  readonly resources?: readonly string[]
  readonly components?: readonly string[]
  readonly patches?: readonly {
    readonly path: string
    readonly target?: { readonly kind: string; readonly name?: string; readonly labelSelector?: string }
  }[]
  readonly replicas?: readonly { readonly name: string; readonly count: number }[]
  readonly images?: readonly { readonly name: string; readonly newName: string; readonly newTag: string }[]
  readonly namespace?: string
}

const UNDERSTOOD = new Set(['apiVersion', 'kind', 'resources', 'components', 'patches', 'replicas', 'images', 'namespace'])

export async function kustomize(folder: string, before: readonly Resource[] = []): Promise<readonly Resource[]> {
  const kustomization = parse(await readFile(join(folder, 'kustomization.yaml'), 'utf8')) as Kustomization
  for (const key of Object.keys(kustomization)) if (!UNDERSTOOD.has(key)) throw new Error(`${folder}: ${key} is not understood`)
  const { resources = [], components = [], patches = [], replicas = [], images = [], namespace } = kustomization
  let all = [...before]
  for (const path of resources)
    all.push(...(path.endsWith('.yaml') ? await resourcesOf(join(folder, path)) : await kustomize(join(folder, path))))
  for (const path of components) all = [...(await kustomize(join(folder, path), all))]
  for (const { path, target } of patches) {
    const [patch, ...more] = await resourcesOf(join(folder, path))
    if (patch === undefined || more.length > 0) throw new Error(`${path}: a file with one patch is understood`)
    const { kind, name, labelSelector } = target ?? { kind: patch.kind, name: patch.metadata.name, labelSelector: undefined }
    const [label, value] = labelSelector?.split('=') ?? []
    const meant = (each: Resource): boolean =>
      new RegExp(`^(?:${kind})$`).test(each.kind) &&
      (name === undefined || new RegExp(`^(?:${name})$`).test(each.metadata.name)) &&
      (label === undefined || each.metadata.labels?.[label] === value)
    if (target === undefined && !all.some(meant)) throw new Error(`${path}: there is nothing to patch`)
    // In a patch with a target, the name and the kind do not count.
    const { metadata, kind: _kind, apiVersion: _version, ...rest } = patch
    const { name: _name, ...labelled } = metadata
    all = all.map((each) => (meant(each) ? (merged(each, { metadata: labelled, ...rest }) as Resource) : each))
  }
  for (const { name, count } of replicas)
    all = all.map((each) =>
      each.metadata.name === name && each.kind === 'Deployment' ? (merged(each, { spec: { replicas: count } }) as Resource) : each,
    )
  for (const { name, newName, newTag } of images) all = all.map((each) => renamed(each, name, `${newName}:${newTag}`) as Resource)
  return namespace === undefined ? all : all.map((each) => merged(each, { metadata: { namespace } }) as Resource)
}

async function resourcesOf(path: string): Promise<readonly Resource[]> {
  return parseAllDocuments(await readFile(path, 'utf8'), { version: '1.1' }).map((document) => document.toJS() as Resource)
}

/** The key by which two elements of a list are the same; a list without one is replaced as a whole. */
const KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  topologySpreadConstraints: 'topologyKey',
}

function merged(there: unknown, patch: unknown, list = ''): unknown {
  if (Array.isArray(patch)) return mergedList((there as Node[] | undefined) ?? [], patch as Node[], KEYS[list])
  if (typeof patch !== 'object' || patch === null) return patch
  const result: Record<string, unknown> = { ...(there as Node | undefined) }
  for (const [key, value] of Object.entries(patch)) result[key] = merged(result[key], value, key)
  return result
}

function mergedList(there: readonly Node[], patch: readonly Node[], key: string | undefined): readonly Node[] {
  if (key === undefined) return patch
  let result = [...there]
  for (const each of patch) {
    const same = (other: Node): boolean => other[key] === each[key]
    if (each['$patch'] === 'delete') result = result.filter((other) => !same(other))
    else if (result.some(same)) result = result.map((other) => (same(other) ? (merged(other, each) as Node) : other))
    else result.push(each)
  }
  return result
}

function renamed(there: unknown, name: string, image: string): unknown {
  if (Array.isArray(there)) return there.map((each) => renamed(each, name, image))
  if (typeof there !== 'object' || there === null) return there
  return Object.fromEntries(
    Object.entries(there).map(([key, value]) => [
      key,
      key === 'image' && typeof value === 'string' && value.replace(/:[^:/]+$/, '') === name ? image : renamed(value, name, image),
    ]),
  )
}

/** Puts elements whose place does not matter in one order, for comparison. */
export function inOrder(there: unknown, list = ''): unknown {
  const key = KEYS[list]
  if (Array.isArray(there)) {
    const all = there.map((each) => inOrder(each))
    return key === undefined ? all : all.toSorted((a, b) => String((a as Node)[key]).localeCompare(String((b as Node)[key])))
  }
  if (typeof there !== 'object' || there === null) return there
  return Object.fromEntries(Object.entries(there).map(([name, value]) => [name, inOrder(value, name)]))
}
