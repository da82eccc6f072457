/** @file What the studio's server tells its page: the shapes of its JSON answers. Shared by both; types alone. */
import type { DeviceView, JobView as LabJobView } from '../measure/lab/protocol.js';
import type { EventOfRun } from './run-events.js';

/** What the open folder holds. Paths are relative to it, with `/`. */
export interface WorkspaceView {
  /** Last part of the folder's path. */
  readonly name: string;
  readonly version: string;
  readonly models: readonly FoundFile[];
  /** Folders that `cuttle adapt` or `cuttle demo` wrote. */
  readonly runs: readonly FoundRun[];
  readonly splits: readonly FoundFile[];
  readonly images: readonly FoundFile[];
  /** Folders of audited apps. */
  readonly audits: readonly { readonly path: string; readonly apps: number }[];
  /** There was more than is listed. */
  readonly truncated: boolean;
  /** Device labs: paths of their folders; `:given` for the one that the studio was started with. */
  readonly labs: readonly { readonly path: string; readonly name: string }[];
}

/** One file of the folder. */
export interface FoundFile {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** One folder with the results of a search. `''` is the open folder itself. */
export interface FoundRun {
  readonly path: string;
  readonly progressive: string;
  readonly designs: readonly string[];
  /** Whether the memo is there, from which designs are judged. */
  readonly memo: boolean;
  readonly modifiedMs: number;
}

/** One model as a graph with costs. */
export interface ModelView {
  readonly path: string;
  readonly bytes: number;
  readonly kind: 'plain' | 'progressive' | 'baked';
  readonly opset: number;
  readonly producer: string;
  readonly params: number;
  readonly macs: number;
  readonly peakActivationBytes: number;
  readonly inputs: readonly { readonly name: string; readonly type: string }[];
  readonly outputs: readonly { readonly name: string; readonly type: string }[];
  readonly nodes: readonly NodeView[];
  readonly exits: readonly ExitView[];
  readonly cuts: readonly CutView[];
  /** Where the layers' times come from; absent where nothing was measured. */
  readonly timesFrom?: string;
  readonly notes: readonly string[];
}

/** One operator. `from`: places of the nodes whose values it reads. */
export interface NodeView {
  readonly name: string;
  readonly op: string;
  readonly from: readonly number[];
  readonly shape: string;
  readonly macs: number;
  readonly params: number;
  /** Weights and output of the node, bytes. */
  readonly memory: number;
  readonly ms?: number;
  /** Number of the exit that alone needs it. */
  readonly exit?: number;
}

/** One exit of a progressive model. */
export interface ExitView {
  readonly exit: number;
  readonly value: string;
  /** Place of the node that it hangs on, and of the one that answers. */
  readonly node: number;
  readonly answer: number;
  readonly head: string;
  /** Share of the backbone's work before it. */
  readonly position: number;
}

/** One cut between device and server. */
export interface CutView {
  readonly index: number;
  /** Places of the nodes that run on the device. */
  readonly device: readonly number[];
  readonly frontier: readonly string[];
  /** Places of the nodes whose values cross. */
  readonly crossing: readonly number[];
  /** For one sample; `null` where a size is not known. */
  readonly bytes: number | null;
}

/** What the designs of a run are judged by; the memo itself comes as bytes. */
export interface RunView {
  readonly path: string;
  readonly progressive: string;
  readonly exits: readonly { readonly value: string; readonly position: number; readonly temperature: number }[];
  readonly costs: {
    readonly segments: readonly number[];
    readonly heads: readonly number[];
    readonly memory?: { readonly segments: readonly number[]; readonly heads: readonly number[] };
    readonly unit: 'ms' | 'macs';
    /** `measured`: as the search used them. `profile`: made again from the profile. `macs`: nothing was measured. */
    readonly source: 'measured' | 'profile' | 'macs';
  };
  readonly memoBytes: number;
  readonly device: string | null;
  /** Design files of the run, as they stand. */
  readonly designs: readonly { readonly path: string; readonly file: unknown }[];
  /** Files that should be designs and are not. */
  readonly broken: readonly { readonly path: string; readonly why: string }[];
}

/** What every exit said of one image. */
export interface TryView {
  readonly label: string;
  /** Number of the exit that stopped, and of the one whose answer counts; the number of exits for the final one. */
  readonly exit: number;
  readonly answeredBy: number;
  readonly latencyMs: number;
  readonly policy: {
    readonly kind: string;
    readonly title: string;
    readonly evidence: string;
    readonly leaves: 'at-least' | 'below';
  };
  readonly exits: readonly TriedExit[];
  readonly input: { readonly height: number; readonly width: number; readonly channels: string };
}

/** One exit's part in an answer. */
export interface TriedExit {
  readonly exit: number;
  readonly name: string;
  /** Not part of the design: shown for comparison. */
  readonly inDesign: boolean;
  /** Computed in earnest, before the image left. */
  readonly ran: boolean;
  readonly label: string;
  /** What the policy compares, and with what; no threshold for the last one. */
  readonly score: number;
  readonly threshold?: number;
  readonly leaves: boolean;
  readonly top: readonly { readonly label: string; readonly probability: number }[];
}

/** One run started from the page. */
export interface JobView {
  readonly id: number;
  readonly verb: string;
  readonly command: string;
  readonly state: 'running' | 'done' | 'failed' | 'stopped';
  readonly startedMs: number;
  readonly endedMs?: number;
  readonly code?: number | null;
}

/** One thing that happened in a run, in order. */
export type JobEvent =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'event'; readonly event: EventOfRun }
  | { readonly kind: 'output'; readonly json: unknown }
  | { readonly kind: 'state'; readonly job: JobView };

/** An answer that is a refusal. */
export interface ErrorView {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

/** One model of a comparison. */
export interface ModelSummary {
  readonly nodes: number;
  readonly params: number;
  readonly macs: number;
  readonly paramBytes: number;
  readonly peakActivationBytes: number;
}

/** Two models side by side. */
export interface CompareView {
  readonly a: ModelSummary;
  readonly b: ModelSummary;
  readonly operators: readonly { readonly op: string; readonly a: number; readonly b: number }[];
  /** Nodes with one name and operator in both; `NAME OPERATOR` of the others. */
  readonly nodes: { readonly shared: number; readonly onlyA: readonly string[]; readonly onlyB: readonly string[] };
  /** Those that differ most first; not all where there are many. */
  readonly weights: readonly ComparedWeight[];
  readonly totals: {
    readonly equal: number;
    readonly changed: number;
    readonly reshaped: number;
    readonly onlyA: number;
    readonly onlyB: number;
  };
}

/** One weight by name. */
export interface ComparedWeight {
  readonly name: string;
  readonly shape: string;
  readonly status: 'equal' | 'changed' | 'reshaped' | 'only-a' | 'only-b';
  /** ‖a − b‖ / ‖a‖. `null` stands for infinity: `a` is zero. */
  readonly distance?: number | null;
}

/** One app of an audit, as the list shows it. */
export interface AuditAppView {
  /** Name of its record's file. */
  readonly name: string;
  readonly identifier: string;
  readonly label: string | null;
  readonly category: string | null;
  readonly failure: string | null;
  /** Frameworks, cloud services and accelerators, each with the most that is known of its use. */
  readonly uses: readonly {
    readonly kind: 'framework' | 'cloud' | 'accelerator';
    readonly title: string;
    readonly use: string;
  }[];
  readonly models: readonly {
    readonly format: string;
    readonly path: string;
    readonly confidence: string;
    readonly task: string | null;
    readonly modality: string | null;
    readonly architecture: string | null;
    readonly params: number | null;
    readonly macs: number | null;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/** All apps of an audit. */
export interface AuditView {
  readonly apps: readonly AuditAppView[];
  readonly broken: readonly { readonly name: string; readonly why: string }[];
  /** There are more records than are read at once. */
  readonly truncated: boolean;
}

/** One device lab. */
export interface LabView {
  readonly path: string;
  /** Without a server nothing new happens; what its journal says is shown. */
  readonly running: boolean;
  /** How devices come in: pages to open, the one for other machines last, and the command for Node. */
  readonly join: { readonly pages: readonly string[]; readonly command: string } | null;
  readonly devices: readonly DeviceView[];
  readonly totals: Readonly<Record<LabJobView['state'], number>>;
  /** The newest. */
  readonly jobs: readonly LabJobView[];
  readonly measures: readonly LabMeasureView[];
}

/** What one job measured. Times are ms; `null` where its kind does not give them. */
export interface LabMeasureView {
  readonly id: string;
  readonly device: string;
  readonly model: string;
  readonly kind: string;
  readonly backend: string;
  readonly threads: number | null;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly loadMs: number | null;
  readonly firstMs: number | null;
}
