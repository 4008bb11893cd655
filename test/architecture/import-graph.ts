import type { SourceFile } from './source-files.ts'

/** Which files each file imports, by path; a type counts as much as a value. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>

export function importGraph(files: readonly SourceFile[]): ImportGraph {
  return new Map(files.map(({ path, imports }) => [path, imports.filter(({ ours }) => ours).map(({ target }) => target)]))
}

/** The shortest way from one file along its imports to a file that is looked for, both ends included; `undefined`: there is none. */
export function wayTo(graph: ImportGraph, from: string, isEnd: (path: string) => boolean): readonly string[] | undefined {
  const cameFrom = new Map<string, string | undefined>([[from, undefined]])
  for (const path of cameFrom.keys()) {
    for (const target of graph.get(path) ?? []) {
      if (isEnd(target)) return wayBack(cameFrom, path, [target])
      if (!cameFrom.has(target)) cameFrom.set(target, path)
    }
  }
  return undefined
}

function wayBack(cameFrom: ReadonlyMap<string, string | undefined>, path: string | undefined, way: readonly string[]): readonly string[] {
  return path === undefined ? way : wayBack(cameFrom, cameFrom.get(path), [path, ...way])
}

/** Of each file that imports itself, by way of others or not, the shortest circle; one for each set of files. */
export function circlesOf(graph: ImportGraph): readonly string[] {
  const circles = new Map<string, string>()
  for (const path of graph.keys()) {
    const circle = wayTo(graph, path, (target) => target === path)
    if (circle === undefined) continue
    const members = [...new Set(circle)].toSorted().join()
    if (!circles.has(members)) circles.set(members, circle.join(' → '))
  }
  return [...circles.values()]
}
