// Written by scripts/explain-examples from Examples/explain.

extension StepFileExample {
  /// The step files that come with the command.
  public static let all = [
    StepFileExample(
      name: "2-2-1",
      summary:
        "Two inputs, two hidden neurons, one output; no biases, plain gradient descent.",
      text: #"""
        {
          "name": "2-2-1",
          "note": "Two inputs, two hidden neurons, one output; no biases, plain gradient descent.",
          "inputs": 2,
          "layers": [
            {
              "type": "dense",
              "units": 2,
              "activation": "relu",
              "weights": [[0.12, 0.33], [0.15, 0.09]],
              "names": {"weights": [["w1", "w2"], ["w3", "w4"]]}
            },
            {
              "type": "dense",
              "units": 1,
              "activation": "identity",
              "weights": [[0.11, 0.12]],
              "names": {"weights": [["w5", "w6"]]}
            }
          ],
          "loss": "halfSquaredError",
          "optimizer": {"type": "sgd", "learningRate": 0.05},
          "batches": [
            {"x": [[2, 3]], "y": [[1]]},
            {"x": [[2, 3]], "y": [[1]]}
          ]
        }
        """#),
    StepFileExample(
      name: "2-2-1-sigmoid",
      summary:
        "The same network with sigmoids: the factors f′(z) of the chain rule matter.",
      text: #"""
        {
          "name": "2-2-1-sigmoid",
          "note": "The same network with sigmoids: the factors f′(z) of the chain rule matter.",
          "inputs": 2,
          "layers": [
            {"type": "dense", "units": 2, "activation": "sigmoid", "weights": [[0.2, 0.4], [0.3, 0.7]]},
            {"type": "dense", "units": 1, "activation": "sigmoid", "weights": [[0.6, -0.1]]}
          ],
          "loss": "halfSquaredError",
          "optimizer": {"type": "sgd", "learningRate": 0.1},
          "batches": [
            {"x": [[1.1, 2.2]], "y": [[3.3]]}
          ]
        }
        """#),
    StepFileExample(
      name: "2-2-2",
      summary:
        "Two outputs and biases: a hidden neuron gets its δ from both outputs.",
      text: #"""
        {
          "name": "2-2-2",
          "note": "Two outputs and biases: a hidden neuron gets its δ from both outputs.",
          "inputs": 2,
          "layers": [
            {
              "type": "dense",
              "units": 2,
              "activation": "sigmoid",
              "weights": [[0.15, 0.2], [0.25, 0.3]],
              "bias": [0.35, 0.35]
            },
            {
              "type": "dense",
              "units": 2,
              "activation": "sigmoid",
              "weights": [[0.4, 0.45], [0.5, 0.55]],
              "bias": [0.6, 0.6]
            }
          ],
          "loss": "halfSquaredError",
          "optimizer": {"type": "sgd", "learningRate": 0.5},
          "batches": [
            {"x": [[0.05, 0.1]], "y": [[0.01, 0.99]]}
          ]
        }
        """#),
    StepFileExample(
      name: "4-2-2-1",
      summary:
        "Two hidden layers, with binary cross-entropy.",
      text: #"""
        {
          "name": "4-2-2-1",
          "note": "Two hidden layers, with binary cross-entropy.",
          "inputs": 4,
          "layers": [
            {
              "type": "dense",
              "units": 2,
              "activation": "sigmoid",
              "weights": [[0.1, -0.2, 0.3, 0.4], [0.5, 0.6, -0.7, 0.8]],
              "bias": [0.01, -0.02]
            },
            {
              "type": "dense",
              "units": 2,
              "activation": "sigmoid",
              "weights": [[0.3, -0.4], [0.2, 0.9]],
              "bias": [0.03, 0.04]
            },
            {"type": "dense", "units": 1, "activation": "sigmoid", "weights": [[0.7, -0.6]], "bias": [0.05]}
          ],
          "loss": "binaryCrossEntropy",
          "optimizer": {"type": "sgd", "learningRate": 0.25},
          "batches": [
            {"x": [[0.5, -1, 2, 0.25]], "y": [[1]]}
          ]
        }
        """#),
    StepFileExample(
      name: "xor",
      summary:
        "The four rows of XOR in one batch, 200 steps from drawn weights.",
      text: #"""
        {
          "name": "xor",
          "note": "The four rows of XOR in one batch, 200 steps from drawn weights.",
          "inputs": 2,
          "layers": [
            {
              "type": "dense",
              "units": 3,
              "activation": "tanh",
              "initializer": "glorotUniform",
              "bias": [0, 0, 0]
            },
            {
              "type": "dense",
              "units": 1,
              "activation": "sigmoid",
              "initializer": "glorotUniform",
              "bias": [0]
            }
          ],
          "loss": "binaryCrossEntropy",
          "optimizer": {"type": "sgd", "learningRate": 1, "momentum": 0.9},
          "seed": 1,
          "repeat": 200,
          "untilLoss": 0.01,
          "batches": [
            {"x": [[0, 0], [0, 1], [1, 0], [1, 1]], "y": [[0], [1], [1], [0]]}
          ]
        }
        """#),
    StepFileExample(
      name: "softmax",
      summary:
        "Three classes: softmax and cross-entropy, whose δ is a − y.",
      text: #"""
        {
          "name": "softmax",
          "note": "Three classes: softmax and cross-entropy, whose δ is a − y.",
          "inputs": 2,
          "layers": [
            {
              "type": "dense",
              "units": 3,
              "activation": "softmax",
              "weights": [[0.5, -0.2], [0.1, 0.4], [-0.3, 0.2]],
              "bias": [0, 0.1, -0.1]
            }
          ],
          "loss": "crossEntropy",
          "optimizer": {"type": "sgd", "learningRate": 0.5},
          "batches": [
            {"x": [[1, 2]], "y": [[0, 1, 0]]}
          ]
        }
        """#),
    StepFileExample(
      name: "batch-norm",
      summary:
        "A batch normalization between two dense layers, with three rows.",
      text: #"""
        {
          "name": "batch-norm",
          "note": "A batch normalization between two dense layers, with three rows.",
          "inputs": 2,
          "layers": [
            {"type": "dense", "units": 2, "activation": "identity", "weights": [[0.5, -0.25], [0.75, 1]]},
            {"type": "batchNorm", "gamma": [1, 1.5], "beta": [0, 0.5]},
            {"type": "activation", "activation": "relu"},
            {"type": "dense", "units": 1, "activation": "identity", "weights": [[0.6, -0.4]], "bias": [0.1]}
          ],
          "loss": "meanSquaredError",
          "optimizer": {"type": "sgd", "learningRate": 0.1},
          "batches": [
            {"x": [[1, 2], [-1, 0.5], [0.5, -1.5]], "y": [[1], [0], [-1]]}
          ]
        }
        """#),
    StepFileExample(
      name: "adam",
      summary:
        "The network of 2-2-2 with adam: m, v and their corrections in three steps.",
      text: #"""
        {
          "name": "adam",
          "note": "The network of 2-2-2 with adam: m, v and their corrections in three steps.",
          "inputs": 2,
          "layers": [
            {
              "type": "dense",
              "units": 2,
              "activation": "sigmoid",
              "weights": [[0.15, 0.2], [0.25, 0.3]],
              "bias": [0.35, 0.35]
            },
            {
              "type": "dense",
              "units": 2,
              "activation": "sigmoid",
              "weights": [[0.4, 0.45], [0.5, 0.55]],
              "bias": [0.6, 0.6]
            }
          ],
          "loss": "halfSquaredError",
          "optimizer": {"type": "adam", "learningRate": 0.1},
          "repeat": 3,
          "batches": [
            {"x": [[0.05, 0.1]], "y": [[0.01, 0.99]]}
          ]
        }
        """#),
  ]
}
