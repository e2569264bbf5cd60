// Vercel's AI SDK, through each of its providers whose API Heliostat speaks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";

import { GATEWAY, MODELS, PNG, PNG_SHA256, QUESTION, RAIN, Verdict, WEATHER } from "./samples.js";

const openai = createOpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: "unused" });
const anthropic = createAnthropic({ baseURL: `${GATEWAY}/v1`, apiKey: "unused" });
const google = createGoogleGenerativeAI({ baseURL: `${GATEWAY}/v1beta`, apiKey: "unused" });

/** Every client API of the SDK. */
const APIS = {
  "chat completions": (model) => openai.chat(model),
  responses: (model) => openai.responses(model),
  messages: (model) => anthropic(model),
  generateContent: (model) => google(model),
};

for (const [api, language] of Object.entries(APIS)) {
  for (const name of MODELS) {
    const provider = name.split("/")[0];
    const model = language(name);

    test(`${api} to ${provider}: text`, async () => {
      const reply = await generateText({ model, system: "Be brief.", prompt: "Hello there", maxRetries: 0 });
      assert.match(reply.text, /Hello there/);
      assert.match(reply.text, /1 system/);
      assert.equal(reply.finishReason, "stop");
      assert.ok(reply.usage.inputTokens > 0 && reply.usage.outputTokens > 0);
    });

    test(`${api} to ${provider}: a stream`, async () => {
      const stream = streamText({ model, prompt: "Hello there", maxRetries: 0 });
      const pieces = await Array.fromAsync(stream.textStream);
      assert.match(pieces.join(""), /Hello there/);
      assert.ok(pieces.length > 1);
      assert.equal(await stream.finishReason, "stop");
      assert.ok((await stream.usage).outputTokens > 0);
    });

    test(`${api} to ${provider}: an image`, async () => {
      const content = [
        { type: "text", text: "What is it?" },
        { type: "file", data: PNG, mediaType: "image/png" },
      ];
      const reply = await generateText({ model, messages: [{ role: "user", content }], maxRetries: 0 });
      assert.ok(reply.text.includes(PNG_SHA256));
    });

    for (const how of [generateText, streamText]) {
      test(`${api} to ${provider}: ${how.name} with a tool`, async () => {
        const asked = [];
        const execute = async ({ city }) => {
          asked.push(city);
          return RAIN;
        };
        const tools = { weather: tool({ description: "Tells the weather of a city.", inputSchema: WEATHER, execute }) };
        const reply = await how({ model, prompt: QUESTION, tools, stopWhen: stepCountIs(3), maxRetries: 0 });
        assert.ok((await reply.text).includes(RAIN));
        assert.equal(asked.length, 1);
      });
    }

    test(`${api} to ${provider}: a structured answer`, async () => {
      const reply = await generateText({ model, prompt: "Score it.", output: Output.object({ schema: Verdict }), maxRetries: 0 });
      assert.ok(Verdict.parse(reply.output));
    });

    test(`${api} to ${provider}: a bad request`, async () => {
      const asked = generateText({ model: language(`${provider}/fail-400`), prompt: "Hello", maxRetries: 0 });
      await assert.rejects(asked, (error) => error.statusCode === 400 && error.isRetryable === false);
    });
  }
}
