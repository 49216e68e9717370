// `node --import` of this, before the product's own program: armed from the start by what POSTERN_TORTURE says (JSON of an Arming),
// and its calls told to the parent that asks.

import { type Arming, arm, disarm, failRedisToo } from './faults.ts';

await failRedisToo();
arm(JSON.parse(process.env.POSTERN_TORTURE ?? '{"nth":null}') as Arming);
process.on('message', () => process.send?.(disarm()));
process.channel?.unref();
