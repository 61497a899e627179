import Chainrule
import Foundation
internal import CJansson

/// What a step file may say. JSONDecoder passes over keys that it does not know, and takes the last of two that are the
/// same: a number that is misspelt would be left out, and the lesson wrong.
extension StepFile {
  /// Refuses what is no JSON, a key that stands twice, and one that means nothing where it stands, in a step file or in one
  /// with several steps, its "examples".
  static func checkKeys(_ json: Data) throws {
    try checkSyntax(json)
    guard let file = try? JSONSerialization.jsonObject(with: json) as? [String: Any] else { return }
    guard file["examples"] != nil else { return try checkKeys(of: file, "") }
    try check(file, "", keys: ["examples"])
    for (index, step) in objects(file["examples"]) { try checkKeys(of: step, "examples[\(index)].") }
  }

  /// What a golden file says of the page that printed its numbers; nothing reads it.
  private static let remarks = ["note", "printed", "exact", "errata"]

  /// `path` leads to the step, a dot at its end.
  private static func checkKeys(of file: [String: Any], _ path: String) throws {
    try check(file, path, keys: CodingKeys.allCases.map(\.rawValue) + remarks)
    for (index, layer) in objects(file["layers"]) {
      let keys = (layer["type"] as? String).flatMap { Layer.keys[$0] }
      try check(
        layer, "\(path)layers[\(index)].", keys: keys ?? Layer.CodingKeys.allCases.map(\.rawValue),
        of: keys == nil ? nil : layer["type"] as? String)
    }
    if let optimizer = file["optimizer"] as? [String: Any] {
      try check(optimizer, "\(path)optimizer.", keys: Optimizer.CodingKeys.allCases.map(\.rawValue))
    }
    for (index, batch) in objects(file["batches"]) {
      try check(batch, "\(path)batches[\(index)].", keys: Batch.CodingKeys.allCases.map(\.rawValue))
    }
    guard let expect = file["expect"] as? [String: Any] else { return }
    try check(expect, "\(path)expect.", keys: Expect.CodingKeys.allCases.map(\.rawValue))
    for name in ["gradients", "parametersAfter"] {
      for (index, layer) in objects(expect[name]) {
        try check(
          layer, "\(path)expect.\(name)[\(index)].", keys: Parameters.CodingKeys.allCases.map(\.rawValue))
      }
    }
  }

  /// Throws the line and column of what RFC 8259 does not allow.
  private static func checkSyntax(_ json: Data) throws {
    var error = json_error_t()
    let value = json.withUnsafeBytes { bytes in
      json_loadb(bytes.baseAddress, bytes.count, Int(JSON_REJECT_DUPLICATES), &error)
    }
    if let value { return json_decref(value) }
    let text = withUnsafeBytes(of: error.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    throw StepFileError(place: "line \(error.line), column \(error.column)", reason: text)
  }

  private static func objects(_ value: Any?) -> [(Int, [String: Any])] {
    (value as? [Any] ?? []).enumerated().compactMap { index, value in
      (value as? [String: Any]).map { (index, $0) }
    }
  }

  private static func check(
    _ object: [String: Any], _ path: String, keys: [String], of kind: String? = nil
  ) throws {
    guard let unknown = object.keys.filter({ !keys.contains($0) }).min() else { return }
    let hint =
      nearest(to: unknown, among: keys).map { "did you mean \($0)?" } ?? "expected \(list(keys, "or"))"
    throw StepFileError(
      place: path + unknown,
      reason: (kind.map { "there is no such key of \($0); " } ?? "there is no such key; ") + hint)
  }
}

extension StepFile.Layer {
  /// The keys of each type of layer.
  fileprivate static let keys: [String: [String]] = [
    "dense": ["type", "units", "activation", "weights", "bias"], "activation": ["type", "activation"],
    "dropout": ["type", "rate"],
    "batchNorm": ["type", "epsilon", "momentum", "gamma", "beta", "mean", "var"],
    "layerNorm": ["type", "epsilon", "gamma", "beta"], "scaling": ["type", "mean", "deviation"],
    "residual": ["type", "span"],
  ]
}
