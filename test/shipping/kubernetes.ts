import { scheduleProblem } from '../../src/schedule/expression.ts'

/** The part of Kubernetes' objects that the files use. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: DeploymentSpec | JobSpec | CronJobSpec
}

interface DeploymentSpec {
  readonly replicas: number
  readonly template: { readonly spec: PodSpec }
}

interface JobSpec {
  readonly backoffLimit: number
  readonly activeDeadlineSeconds: number
  readonly podFailurePolicy: { readonly rules: readonly unknown[] }
  readonly template: { readonly spec: PodSpec }
}

interface CronJobSpec {
  readonly schedule: string
  readonly timeZone: string
  readonly concurrencyPolicy: string
  readonly startingDeadlineSeconds: number
  readonly jobTemplate: { readonly spec: JobSpec }
}

export interface PodSpec {
  readonly restartPolicy?: string
  readonly automountServiceAccountToken: boolean
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: { readonly fsGroup: number }
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes: readonly {
    readonly name: string
    readonly secret?: { readonly secretName: string; readonly defaultMode: number }
    readonly emptyDir?: { readonly medium: string }
    readonly persistentVolumeClaim?: { readonly claimName: string }
  }[]
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly args?: readonly string[]
  readonly restartPolicy?: string
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[]
  readonly ports?: readonly unknown[]
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly resources: unknown
  readonly securityContext: { readonly runAsGroup: number }
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly periodSeconds: number
  readonly failureThreshold: number
}

export function isSchedule(text: string): boolean {
  return scheduleProblem(text) === undefined
}
