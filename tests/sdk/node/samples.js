// What the tests share: where the gateway is, models of three providers, an image.

import { createHash } from "node:crypto";
import { z } from "zod";

export const GATEWAY = process.env.HELIOSTAT_URL;
export const MODELS = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"];

export const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
export const PNG_SHA256 = createHash("sha256").update(PNG).digest("hex");

/** A judgement on an image. */
export const Verdict = z.object({ score: z.number().int(), reasons: z.array(z.string()) });

export const QUESTION = "What is the weather? Call the tool.";
export const WEATHER = z.object({ city: z.string() });
export const RAIN = "rain and 12 degrees";
