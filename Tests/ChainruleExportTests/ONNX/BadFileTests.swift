import Chainrule
import Foundation
import SwiftProtobuf
import TestSupport
import Testing

@testable import ChainruleExport

/// A graph from `x`, [batch, 2], to `y`.
private struct Graph {
  var file = Onnx_ModelProto()

  init(_ nodes: [Onnx_NodeProto], _ tensors: [Onnx_TensorProto] = []) {
    var opset = Onnx_OperatorSetIdProto()
    opset.version = 17
    file.opsetImport = [opset]
    var input = Onnx_ValueInfoProto()
    input.name = "x"
    input.type.tensorType.elemType = 1
    input.type.tensorType.shape.dim = [.init(), .with { $0.dimValue = 2 }]
    file.graph.input = [input]
    file.graph.output = [.with { $0.name = "y" }]
    file.graph.node = nodes
    file.graph.initializer = tensors
  }

  /// The reason for which it is not read; nil where it is.
  var refusal: String? {
    get throws {
      do {
        _ = try SavedModel(onnxBytes: file.serializedBytes())
        return nil
      } catch ChainruleError.invalidModel(_, let reason) {
        return reason
      }
    }
  }

  func with(_ change: (inout Onnx_ModelProto) -> Void) -> Graph {
    var other = self
    change(&other.file)
    return other
  }
}

private func node(
  _ type: String, _ inputs: [String], _ output: String = "y", _ attributes: [Onnx_AttributeProto] = []
) -> Onnx_NodeProto {
  .with {
    $0.name = "n"
    $0.opType = type
    $0.input = inputs
    $0.output = [output]
    $0.attribute = attributes
  }
}

private func float(_ name: String, _ value: Float) -> Onnx_AttributeProto {
  .with {
    $0.name = name
    $0.type = .float
    $0.f = value
  }
}

private func integer(_ name: String, _ value: Int64) -> Onnx_AttributeProto {
  .with {
    $0.name = name
    $0.type = .int
    $0.i = value
  }
}

private func tensor(_ name: String, _ dims: [Int64], _ values: [Float]) -> Onnx_TensorProto {
  .with {
    $0.name = name
    $0.dims = dims
    $0.dataType = 1
    $0.floatData = values
  }
}

private func shape(_ name: String, _ values: [Int64]) -> Onnx_TensorProto {
  .with {
    $0.name = name
    $0.dims = [Int64(values.count)]
    $0.dataType = 7
    $0.int64Data = values
  }
}

private let weights = tensor("w", [2, 3], [1, 2, 3, 4, 5, 6])
private let dense = Graph([node("MatMul", ["x", "w"])], [weights])

@Suite struct `A file that is no dense network` {
  @Test func `is read where nothing is wrong with it`() throws {
    #expect(try dense.refusal == nil)
    guard case .float32(let model) = try SavedModel(onnxBytes: dense.file.serializedBytes()) else {
      Issue.record("not float32")
      return
    }
    #expect(try model.predict([1, 10]) == [41, 52, 63])
  }

  /// What is read, and why it is refused.
  @Test(arguments: [
    (dense.with { $0.clearGraph() }, "there is no graph in this file"),
    (
      dense.with { $0.opsetImport[0].version = 5 },
      "the operators are those of opset 5; expected 6 or later"
    ),
    (
      Graph([node("MatMul", ["x", "w"], "z"), node("Add", ["z", "u"])], [weights]).with {
        $0.graph.input.append(.with { ($0.name, $0.type.tensorType.elemType) = ("u", 1) })
      }, "node \"n\" (Add): it takes input \"u\" and input \"x\"; expected one"
    ),
    (
      Graph([node("MatMul", ["x", "w"], "z"), node("Relu", ["z"])], [weights]).with {
        $0.graph.output.append(.with { $0.name = "z" })
      }, "the graph has 2 outputs, \"y\", \"z\"; choose one by its name (--output-name)"
    ),
    (
      Graph([node("Conv", ["x"], "z"), node("Relu", ["z"])]).with {
        $0.graph.output.append(.with { $0.name = "z" })
      }, "node \"n\" (Conv): the operator is not supported"
    ),
    (dense.with { $0.graph.output[0].name = "v" }, "output \"v\": \"v\" is missing"),
    (dense.with { $0.graph.output[0].name = "w" }, "output \"w\": \"w\" is constant"),
    (dense.with { $0.graph.output[0].name = "x" }, "the graph has no layer"),
    (
      dense.with { $0.graph.input[0].type.tensorType.elemType = 8 },
      "input \"x\": it is of type STRING; expected numbers, such as FLOAT or DOUBLE"
    ),
    (
      dense.with { $0.graph.input[0].type.tensorType.shape.dim.removeLast() },
      "input \"x\": it has no dimension of features; expected [batch, features]"
    ),
    (
      dense.with { $0.graph.input[0].type.tensorType.shape.dim[1].dimValue = -2 },
      "input \"x\": a dimension is -2; expected 1 to 2147483647"
    ),
    (
      dense.with { $0.graph.input[0].type.tensorType.shape.dim += [.init(), .init()] },
      "input \"x\": its number of features is not stated"
    ),
    (
      dense.with {
        $0.graph.input[0].type.tensorType.shape.dim =
          [.init()]
          + (0..<9).map { _ in .with { $0.dimValue = 1 << 30 } }
      },
      "input \"x\": a row of shape [\((0..<9).map { _ in "1073741824" }.joined(separator: ", "))] is too large"
    ),
    (
      dense.with { $0.graph.input[0].type.tensorType.shape.dim[1].dimValue = 3 },
      "node \"n\" (MatMul): the weights \"w\" are for 2 features; a row has 3"
    ),
    (
      Graph([node("MatMul", ["x", "w"])]),
      "node \"n\" (MatMul): \"w\" does not exist before it is used"
    ),
    (
      Graph([node("Add", ["x", "y"], "z"), node("Relu", ["z"])]),
      "node \"n\" (Add): \"y\" does not exist before it is used"
    ),
    (
      Graph([node("Relu", ["x"]), node("Relu", ["x"])]), "node \"n\" (Relu): \"y\" is computed twice"
    ),
    (dense.with { $0.graph.initializer.append(weights) }, "tensor \"w\" occurs twice"),
    (Graph([node("Conv", ["x"])]), "node \"n\" (Conv): the operator is not supported"),
    (
      Graph([
        .with {
          $0.opType = "FusedGemm"
          $0.domain = "com.microsoft"
          $0.input = ["x"]
          $0.output = ["y"]
        }
      ]),
      "node 1 (com.microsoft.FusedGemm): the operator is not supported"
    ),
    (
      Graph([node("Relu", ["x"], "y", [float("slope", 1)])]),
      "node \"n\" (Relu): the attribute \"slope\" is not supported"
    ),
    (
      Graph([node("Elu", ["x"], "y", [float("alpha", 1), float("alpha", 1)])]),
      "node \"n\" (Elu): the attribute \"alpha\" occurs twice"
    ),
    (
      Graph([node("Elu", ["x"], "y", [integer("alpha", 1)])]),
      "node \"n\" (Elu): alpha is not a finite number"
    ),
    (Graph([node("Relu", [])]), "node \"n\" (Relu): it has no input 1"),
    (
      Graph([node("Relu", ["w"])], [weights]), "output \"y\": \"y\" is constant"
    ),
    (
      Graph([node("Gelu", ["w"])], [weights]),
      "node \"n\" (Gelu): input 1, \"w\", is constant; expected the rows"
    ),
    (
      Graph([node("Relu", ["x"], "z"), node("MatMul", ["x", "z"])]),
      "node \"n\" (MatMul): input 2, \"z\", is computed; expected a constant"
    ),
    (
      Graph([node("Elu", ["x"], "y", [float("alpha", 0.3)])]),
      "node \"n\" (Elu): alpha is 0.3; expected 1.0"
    ),
    (
      Graph([node("HardSigmoid", ["x"], "y", [float("alpha", 0)])]),
      "node \"n\" (HardSigmoid): alpha is 0.0; expected a number above 0"
    ),
    (
      Graph([node("PRelu", ["x", "s"])], [tensor("s", [2], [0.5, 0])]),
      "node \"n\" (PRelu): slope 2 is 0 and others are not, which no layers do; expected all or none to be 0"
    ),
    (Graph([node("HardSwish", ["x"])]), "node \"n\" (HardSwish): the operator is not supported"),
    (
      Graph([node("Gather", ["x", "i"], "y", [integer("axis", 1)])], [shape("i", [2])]),
      "node \"n\" (Gather): it takes feature 3; a row has 2"
    ),
    (
      Graph([node("Gather", ["x", "i"])], [shape("i", [0])]),
      "node \"n\" (Gather): axis is 0, that of the rows; expected 1, that of the features"
    ),
    (
      Graph([node("Gather", ["x", "i"], "y", [integer("axis", 1)])], [shape("i", [.min])]),
      "node \"n\" (Gather): it takes feature 9223372036854775808 from the end; a row has 2"
    ),
    (
      Graph([node("Flatten", ["e"], "f"), node("Add", ["x", "f"])], [tensor("e", [0, 1 << 62, 4], [])]),
      "node \"n\" (Flatten): input 1, \"e\", is constant; expected the rows"
    ),
    (
      Graph([node("Slice", ["x", "a", "b"])], [shape("a", [1]), shape("b", [3])]),
      "node \"n\" (Slice): it takes some of the rows; expected it to take features of each"
    ),
    (
      Graph([node("Squeeze", ["x", "a"])], [shape("a", [1])]),
      "node \"n\" (Squeeze): its axes are [1] of rows of the shape [2]; expected those of size 1"
    ),
    (
      Graph([node("Squeeze", ["x", "a"])], [shape("a", [0])]),
      "node \"n\" (Squeeze): its axes are [0]; expected those of a row, 1 to 1"
    ),
    (
      Graph([node("Unsqueeze", ["x", "a"])], [shape("a", [9])]),
      "node \"n\" (Unsqueeze): its axes are [9]; expected those of a row, 1 to 2"
    ),
    (
      Graph([node("Div", ["x", "c"])], [tensor("c", [2], [1, 0])]),
      "node \"n\" (Div): it divides by \"c\", of which value 2 is 0; expected another number"
    ),
    (
      Graph([
        node("Shape", ["x"], "s"), node("Cast", ["s"], "f", [integer("to", 1)]), node("Mul", ["x", "f"]),
      ]),
      "node \"n\" (Cast): input 1, \"s\", is constant; expected the rows"
    ),
    (
      Graph([node("Shape", ["x"], "s"), node("Mul", ["s", "s"], "t"), node("Reshape", ["x", "t"])]),
      "node \"n\" (Mul): its inputs are constant; expected the rows"
    ),
    (
      Graph([node("Reshape", ["x", "s"])], [shape("s", [1, -1])]),
      "node \"n\" (Reshape): its shape is [1, -1]; expected [-1, 2], the features of a row in one dimension"
    ),
    (
      Graph([node("ReduceMean", ["x"], "m"), node("Sub", ["x", "m"])]),
      "node \"n\" (ReduceMean): the operator is not supported"
    ),
    (
      Graph([
        node("Normalizer", ["x"], "y", [.with { ($0.name, $0.s) = ("norm", Data("L1".utf8)) }])
      ]).with { $0.graph.node[0].domain = "ai.onnx.ml" },
      "node \"n\" (ai.onnx.ml.Normalizer): it divides a row by its sum, which no layer does; expected it to follow a "
        + "softmax"
    ),
    (
      Graph([node("Gemm", ["x", "w"], "y", [integer("transA", 1)])], [weights]),
      "node \"n\" (Gemm): transA is 1; expected 0"
    ),
    (
      Graph([node("Gemm", ["x", "w"], "y", [integer("transB", 2)])], [weights]),
      "node \"n\" (Gemm): transB is 2; expected 0 or 1"
    ),
    (
      Graph([node("Gemm", ["x", "w"], "y", [integer("transB", 1)])], [weights]),
      "node \"n\" (Gemm): the weights \"w\" are for 3 features; a row has 2"
    ),
    (
      Graph([node("Gemm", ["x", "w", "b"])], [weights, tensor("b", [2], [1, 2])]),
      "node \"n\" (Gemm): \"b\" has the shape [2]; expected [3] or one number"
    ),
    (
      Graph(
        [node("Clip", ["x", "a", "b"])], [tensor("a", [], [6]), tensor("b", [], [0])]),
      "node \"n\" (Clip): its limits are 6.0 and 0.0; expected the second to be larger"
    ),
    (
      Graph([
        node("Gelu", ["x"], "y", [.with { ($0.name, $0.s) = ("approximate", Data("fast".utf8)) }])
      ]),
      "node \"n\" (Gelu): approximate is \"fast\"; expected \"none\" or \"tanh\""
    ),
    (
      Graph([node("Softmax", ["x"], "y", [integer("axis", 0)])]),
      "node \"n\" (Softmax): axis is 0; expected -1 or 1"
    ),
    (
      Graph([node("Softmax", ["x"], "z"), node("Relu", ["z"])]),
      "node \"n\" (Relu): it follows a softmax; expected the softmax to be last"
    ),
    (
      Graph([node("Cast", ["x"], "y", [integer("to", 7)])]),
      "node \"n\" (Cast): it casts to INT64; expected FLOAT or DOUBLE"
    ),
    (
      Graph([node("Mul", ["x", "x"])]),
      "node \"n\" (Mul): it combines two computed tensors; this is not an activation of Chainrule"
    ),
    (
      Graph([node("Div", ["w", "x"])], [weights]),
      "node \"n\" (Div): its first input is constant; expected the second to be"
    ),
    (
      Graph([node("Mul", ["x", "c"])], [tensor("c", [2, 1], [1, 2])]),
      "node \"n\" (Mul): \"c\" has the shape [2, 1]; expected [2] or one number"
    ),
    (
      Graph([
        node("Relu", ["x"], "a"), node("Tanh", ["x"], "b"), node("Add", ["a", "b"]),
      ]),
      "node \"n\" (Add): neither of its two inputs is the input of layers that end in the other"
    ),
    (
      Graph([
        node("Cast", ["x"], "i", [integer("to", 7)]), node("Relu", ["x"], "r"), node("Add", ["i", "r"]),
      ]),
      "node \"n\" (Add): neither of its two inputs is the input of layers that end in the other"
    ),
    (
      Graph([node("Reshape", ["x", "s"])], [shape("s", [2, 1])]),
      "node \"n\" (Reshape): its shape is [2, 1]; expected [-1, 2], the features of a row in one dimension"
    ),
    (
      Graph([node("Reshape", ["x", "s"], "y", [integer("allowzero", 1)])], [shape("s", [0, 2])]),
      "node \"n\" (Reshape): its shape is [0, 2]; a size of 0 leaves no rows"
    ),
    (
      Graph([node("Concat", ["x", "x"], "y", [integer("axis", 1)])]),
      "node \"n\" (Concat): expected it to join 1 - p and p of one sigmoid p"
    ),
    (
      Graph(
        [node("BatchNormalization", ["x", "g", "g", "g", "g"], "y", [integer("training_mode", 1)])],
        [tensor("g", [2], [1, 1])]),
      "node \"n\" (BatchNormalization): training_mode is 1; expected 0"
    ),
    (
      Graph(
        [node("BatchNormalization", ["x", "g", "g", "g", "h"])],
        [tensor("g", [2], [1, 1]), tensor("h", [1], [1])]),
      "node \"n\" (BatchNormalization): \"h\" has the shape [1]; expected [2]"
    ),
    (
      Graph(
        [node("BatchNormalization", ["x", "g", "g", "g", "h"])],
        [tensor("g", [2], [1, 1]), tensor("h", [2], [1, -1])]),
      "node \"n\" (BatchNormalization): the variance \"h\", value 2, is -1.0; expected 0 or more"
    ),
    (
      Graph(
        [node("Dropout", ["x", "", "t"])],
        [.with { ($0.name, $0.dataType, $0.rawData) = ("t", 9, Data([1])) }]),
      "node \"n\" (Dropout): it drops in prediction too; expected training_mode false"
    ),
    (
      dense.with { $0.metadataProps = [.with { ($0.key, $0.value) = ("chainrule.classes", "[1]") }] },
      "metadata \"chainrule.classes\": expected a JSON array of strings"
    ),
    (
      dense.with { $0.metadataProps = [.with { ($0.key, $0.value) = ("chainrule.classes", "[\"a\"]") }] },
      "there are 1 names of classes; expected 3"
    ),
    (
      dense.with {
        $0.metadataProps = [.with { ($0.key, $0.value) = ("chainrule.features", "[\"a\", \"a\"]") }]
      }, "the names of features have \"a\" as number 1 and 2; expected each once"
    ),
    (
      Graph([node("Gemm", ["x", "w"], "y", [float("alpha", 0x1p127)])], [weights]),
      "layer 1, weights: value 2 is 6.80564733841877e+38, which float32 does not have; export the model in float64"
    ),
  ])
  private func `is refused by what is wrong and what was expected`(_ graph: Graph, reason: String) throws {
    #expect(try graph.refusal == reason)
  }

  /// The tensor of a file's weights, and what is wrong with it.
  @Test(arguments: [
    (tensor("w", [2, 3], [1, 2, 3, 4, 5]), "it has 5 values; its shape [2, 3] says 6 values"),
    (tensor("w", [6], [1, 2, 3, 4, 5, 6]), nil),
    (tensor("w", [0, 3], []), nil),
    (tensor("w", [2, -3], []), "no tensor has the shape [2, -3]"),
    (tensor("w", [1 << 40, 1 << 40], [1]), "no tensor has the shape [1099511627776, 1099511627776]"),
    (tensor("w", [2, 1 << 40], [1]), nil),
    (tensor("w", [2, 3], [1, 2, 3, .nan, 5, 6]), "value 4 is nan"),
    (tensor("w", [2, 3], [1, 2, -.infinity, 4, 5, 6]), "value 3 is -inf"),
    (
      .with { ($0.name, $0.dims, $0.dataType, $0.rawData) = ("w", [2, 3], 1, Data(count: 23)) },
      "it has 23 bytes; its shape [2, 3] says 6 values"
    ),
    (
      .with { ($0.name, $0.dims, $0.dataType, $0.rawData) = ("w", [2, 3], 11, Data(count: 24)) },
      "it has 3 values; its shape [2, 3] says 6 values"
    ),
    (
      .with { ($0.name, $0.dims, $0.dataType, $0.rawData) = ("w", [2, 3], 14, Data(count: 48)) },
      "it is of type COMPLEX64; expected numbers, such as FLOAT or DOUBLE"
    ),
    (
      .with { ($0.name, $0.dims, $0.dataType) = ("w", [2, 3], 99) },
      "it is of type 99; expected numbers, such as FLOAT or DOUBLE"
    ),
    (
      .with { ($0.name, $0.dims, $0.dataType, $0.dataLocation) = ("w", [2, 3], 1, .external) },
      "its values are in another file, which it does not name; export the model again"
    ),
    (
      .with {
        ($0.name, $0.dims, $0.dataType, $0.dataLocation) = ("w", [2, 3], 1, .external)
        $0.externalData = [.with { ($0.key, $0.value) = ("location", "w.data") }]
      },
      "its values are in the file \"w.data\"; import the model from its path, with that file in the same folder"
    ),
  ])
  private func `is refused for its tensor`(_ weights: Onnx_TensorProto, reason: String?) throws {
    let refusal = try Graph([node("MatMul", ["x", "w"])], [weights]).refusal
    #expect(refusal == reason.map { "tensor \"w\": \($0)" } ?? refusal)
    #expect(refusal != nil)
  }

  @Test func `is never more than its bytes are worth`() throws {
    // The same 100 × 100 weights in a thousand layers are 80 MB of parameters in 60 KB.
    let wide = tensor("w", [100, 100], [Float](repeating: 0.5, count: 10_000))
    let nodes = (0..<1000).map { node("MatMul", [$0 == 0 ? "x" : "t\($0)", "w"], "t\($0 + 1)") }
    let graph = Graph(nodes, [wide]).with {
      $0.graph.output[0].name = "t1000"
      $0.graph.input[0].type.tensorType.shape.dim[1].dimValue = 100
    }
    #expect(try graph.refusal == "the graph makes many more parameters than the file has values")
  }

  @Test func `is quoted without what a terminal would obey`() throws {
    let graph = Graph([node("\u{1B}[2J" + String(repeating: "x", count: 500), ["x"])])
    let refusal = try #require(try graph.refusal)
    #expect(refusal.hasPrefix("node \"n\" (\\u{1B}[2Jxxx") && refusal.count < 120)
  }

  @Test func `may be long without a deep stack`() throws {
    var nodes = (0..<20_000).map { node("Relu", [$0 == 0 ? "x" : "t\($0)"], "t\($0 + 1)") }
    nodes.append(node("Conv", ["t20000"]))
    #expect(try Graph(nodes).refusal == "node \"n\" (Conv): the operator is not supported")
  }

  @Test func `is refused however it is cut short or changed`() throws {
    let network = try Network<Float>(inputs: 2, seed: 1) {
      Scaling(mean: [1, 2], deviation: [3, 4])
      Dense(3, activation: .gelu)
      Residual {
        BatchNorm()
        LayerNorm()
        Dense(3, activation: .silu)
      }
      Dense(2, activation: .softmax)
    }
    let bytes = try Model(network).exportONNX()
    for count in 0..<bytes.count {
      // Where a field ends, there may be a whole file before it; the graph is one field.
      _ = try? SavedModel(onnxBytes: bytes.prefix(count))
    }
    var random = Random(state: 7)
    for _ in 0..<4000 {
      var other = bytes
      for _ in 0..<3 {
        let place = Int((random.next() + 1) / 2 * Double(bytes.count - 1))
        other[place] = UInt8(truncatingIfNeeded: Int(random.next() * 128))
      }
      if let model = try? SavedModel(onnxBytes: other) { #expect(model.scalarType.rawValue.isEmpty == false) }
    }
    #expect(
      throws: ChainruleError.invalidModel(
        path: "ONNX", reason: "this is not an ONNX model, or it is truncated")
    ) {
      try SavedModel(onnxBytes: bytes.dropLast())
    }
    #expect(throws: ChainruleError.self) { try SavedModel(onnxBytes: Data()) }
  }

  @Test func `is refused with the path where there is none`() {
    do {
      _ = try SavedModel(onnx: "/nowhere/x.onnx")
      Issue.record("read what is not there")
    } catch {
      guard case .file("/nowhere/x.onnx", _) = error else {
        Issue.record("\(error)")
        return
      }
    }
  }

  /// An outline says where the bytes of a tensor are; whatever it says, they are read within the file.
  @Test(arguments: [(0, 25), (25, 0), (24, 1), (-1, 4), (4, -1), (.max, 1), (1, .max), (.min, .min)])
  func `a place that is not in the file is refused`(offset: Int, count: Int) throws {
    let file = TensorBytes(of: [UInt8](repeating: 0, count: 24), folder: nil)
    func bytes(_ offset: Int, _ count: Int) throws -> Int {
      try file.withBytes(
        of: .with { $0.rawData = Data(RawPlace(offset: offset, count: count).bytes) }, named: "w", \.count)
    }
    #expect(try bytes(0, 24) == 24)
    #expect(throws: Unreadable.self) { try bytes(offset, count) }
  }
}
