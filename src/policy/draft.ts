// A connector on its way from the document to a policy: a shape that compile-connector.ts makes, and selection and lint read.

import type { Rule } from './condition.ts';
import type { AccessList } from './connector.ts';
import type { ConnectorDocument, Limits, Mode } from './document.ts';
import type { Endpoint, SourceSet } from './lists.ts';
import type { Path } from './problem.ts';

/** A connector on its way: what the selection, lint and the connector itself are made of. */
export interface Draft {
  readonly document: ConnectorDocument;
  readonly path: Path;
  readonly bindings: readonly Endpoint[];
  readonly ranges: SourceSet;
  readonly rules: readonly Rule[];
  readonly connectAllow: AccessList;
  readonly connectDeny: AccessList;
  readonly limits: Limits;
  readonly mode: Mode;
  readonly relaysAnywhere: boolean;
}
